"""Spectra of kernels: on the sphere, on data, and the learning curves that follow from them."""
