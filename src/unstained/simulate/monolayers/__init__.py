"""Time-lapse monolayers of elongated cells in quantitative phase, after Pai et al. (1611.08353).

How cells look and move is a model, not a measurement: soft elongated bodies that push each other
away, turn along their neighbours, crawl along their axis, reverse and divide. Fibroblasts, smooth
muscle cells and pluripotent cells differ by the numbers in `kinds`.
"""
