"""The Berkeley Single Cell Computational Microscopy set (BSCCM), its tiny and its MNIST-sized one.

    BSCCM_global_metadata.json          names of channels, shape, size of a pixel, camera
    BSCCM_index.csv                     a row a cell: slide, batch, antibodies, field of view
    BSCCM_surface_markers.csv           a row a cell: unmixed markers, gates
    BSCCM_images.zarr/<slide>/led_array/cell_<global_index>/    (C, H, W), Zarr v2, a file a channel

Facts from the code of the `bsccm` package 1.2.1 (Pinkard et al. 2024, arXiv 2402.06191).
"""
