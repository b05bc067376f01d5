"""From a folder of images to a study's section in params.yaml: `unstained init`.

Look (tree, pixels, columns), decide (pure functions from facts to decisions with reasons), ask what
is uncertain, and only then write (section, sheet).
"""
