"""The coil's shading taken out of a volume (N4), so that one tissue has one grey from the skin to the midline."""

from dataclasses import replace

import numpy as np
import SimpleITK as sitk

from rarelesion.types import Image

ITERATIONS = (50, 50, 50, 50)  # at most, from the coarsest field to the finest
SPLINE_POINTS = 4
CONVERGED = 1e-4
TISSUE = 0.5  # of Otsu's threshold, which by itself would leave out all but fat


def correct_bias(image: Image, shrink: int = 4) -> Image:
    """The image divided by the smooth field by which the coil brightens some places, of unchanged mean.

    The field is a smooth one in log intensities, found on every `shrink`-th pixel down and across of what is not
    background, and taken to full resolution: Tustison et al. 2010, doi:10.1109/TMI.2010.2046908. Pixels that
    are not above 0 stay as they are. An image of one grey comes back unchanged. The same image gives the same numbers.
    """
    values = image.pixels
    if np.ptp(values) == 0 or not (values > 0).any():
        return image
    # A field needs two slices to lie between.
    whole = sitk.GetImageFromArray(np.repeat(values, 2, axis=0) if len(values) == 1 else values)
    whole.SetSpacing([float(step) for step in (image.spacing_mm or (1.0, 1.0, 1.0))[::-1]])
    mask = sitk.Greater(whole, max(0.0, TISSUE * _otsu(whole)))
    factors = [max(1, min(shrink, side // 16)) for side in whole.GetSize()[:2]] + [1]
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.SetNumberOfThreads(1)
    n4.SetMaximumNumberOfIterations(ITERATIONS)
    n4.SetConvergenceThreshold(CONVERGED)
    n4.SetNumberOfControlPoints([SPLINE_POINTS] * 3)
    n4.Execute(sitk.Shrink(whole, factors), sitk.Shrink(mask, factors))
    field = np.exp(sitk.GetArrayFromImage(n4.GetLogBiasFieldAsImage(whole)))[: len(values)]
    corrected = np.where(values > 0, values / field, values)
    shown = sitk.GetArrayFromImage(mask)[: len(values)] > 0
    corrected[values > 0] *= values[shown].mean() / corrected[shown].mean()
    return replace(image, pixels=corrected.astype(np.float32))


def _otsu(image: sitk.Image) -> float:
    """The grey that parts an image best into dark and bright."""
    parted = sitk.OtsuThresholdImageFilter()
    parted.Execute(image)
    return parted.GetThreshold()
