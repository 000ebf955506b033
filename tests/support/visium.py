"""A made-up Visium HD experiment, as spatialdata_io reads it, and its counts per nucleus by brute force."""

import warnings
from pathlib import Path

import numpy as np
import shapely

from support.spatial import read_store

SAMPLE, BINS = "sample", "square_002um"
GENES = ("COL1A1", "EPCAM", "PTPRC", "MYH11")
_BIN_UM = 2.0


def write_bins(path: Path, side_px: int, mpp: float) -> None:
    """Write squares of 2 µm over an image, with random counts; every seventh square had none, and is left out.

    Names of elements, columns and coordinate systems are those of `spatialdata_io.visium_hd` 0.7 with ``bin_size=2``.
    """
    with warnings.catch_warnings(action="ignore"):  # of the packages that spatialdata imports
        import anndata
        import geopandas
        import pandas
        import spatialdata
        from scipy import sparse
        from spatialdata.models import ShapesModel, TableModel
        from spatialdata.transformations import Identity

        size = _BIN_UM / mpp
        places = (np.arange(int(side_px / size)) + 0.5) * size
        x, y = (values.ravel() for values in np.meshgrid(places, places))
        found = np.arange(len(x)) % 7 != 3
        x, y, half = x[found], y[found], size / 2
        name, ids = f"{SAMPLE}_{BINS}", np.arange(len(x))
        squares = geopandas.GeoDataFrame(geometry=shapely.box(x - half, y - half, x + half, y + half), index=ids)
        shapes = ShapesModel.parse(squares, transformations={SAMPLE: Identity()})
        counts = sparse.csr_matrix(np.random.default_rng(0).poisson(0.4, (len(x), len(GENES))).astype(np.float32))
        rows = pandas.DataFrame(
            {"location_id": ids, "region": pandas.Categorical([name] * len(x))}, index=ids.astype(str)
        )
        table = anndata.AnnData(counts, obs=rows, var=pandas.DataFrame(index=list(GENES)))
        table.obsm["spatial"] = np.stack([x, y], axis=1)
        linked = TableModel.parse(table, region=name, region_key="region", instance_key="location_id")
        spatialdata.SpatialData.init_from_elements({name: shapes, BINS: linked}).write(path)


def check_counts(bins: Path, nuclei: Path) -> None:
    """Compare the table ``counts`` of a store of nuclei with counts by brute force: every square with every nucleus."""
    experiment, store = read_store(bins), read_store(nuclei)
    expression, squares = experiment[BINS], experiment[f"{SAMPLE}_{BINS}"]
    outlines, counts = store["nuclei"].geometry.to_numpy(), store["counts"]
    x, y = expression.obsm["spatial"].T
    assert len(squares) == expression.n_obs > 1000
    inside = np.stack([shapely.contains_xy(outline, x, y) for outline in outlines])
    expected = inside.astype(np.int64) @ expression.X.toarray()
    np.testing.assert_array_equal(counts.X.toarray(), expected)
    np.testing.assert_array_equal(counts.obs["squares"], inside.sum(axis=1))
    assert (expected.sum(axis=1) > 0).sum() > 5
    assert inside.sum(axis=0).max() == 1
    assert counts.var_names.tolist() == list(GENES)
    assert counts.obs["id"].tolist() == store["nuclei"].index.tolist()
    np.testing.assert_array_equal(counts.obs["area_um2"], store["table"][:, "area_um2"].X[:, 0])
