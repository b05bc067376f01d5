"""Blood cells on slides, seen in differential phase contrast, in the layout of BSCCM.

What cells look like and how much of a marker they carry is a model, not a measurement: textbook
sizes, refractive indices and gates, so that classes are gates on the very markers that the cells'
shapes drive, as in the real set.
"""
