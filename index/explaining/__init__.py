"""Why two items are alike: facets, regions of pictures, moments of songs, dimensions of learned relations."""

from index.explaining.explainer import explain
from index.explaining.explanation import Explanation

__all__ = ["Explanation", "explain"]
