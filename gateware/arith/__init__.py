"""Arithmetic building blocks shared by the array, the post-processor and the non-linear units."""
