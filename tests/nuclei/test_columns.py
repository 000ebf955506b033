from pathlib import Path

from monuseg_cli.nuclei.columns import ALL_COLUMNS, NETWORK_FEATURES, columns_of

PAGE = Path(__file__).parents[2] / "docs" / "measurements.md"


def test_the_page_on_measurements_has_every_column_with_its_definition() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    expected = [
        f"| `{column.name}` | {column.unit} | {f'`{column.label}`' if column.label else ''} | {column.definition} | "
        f"{column.source} |"
        for column in ALL_COLUMNS
        if column.group != "network"  # one row for the first and the last
    ]
    first, *_, last = (column for column in ALL_COLUMNS if column.group == "network")
    names = f"| `{first.name}` to `{last.name}` |  | `{first.label}` to `{last.label}` |"
    expected.insert(-1, f"{names} {first.definition.replace('channel 1', 'channel 1 to 64')} |  |")
    assert rows == expected


def test_names_and_labels_are_unique() -> None:
    names = [column.name for column in ALL_COLUMNS]
    labels = [column.label for column in ALL_COLUMNS if column.label]
    assert len(set(names)) == len(names)
    assert len(set(labels)) == len(labels)


def test_a_table_has_the_columns_of_its_groups_in_one_order() -> None:
    always = [column.name for column in columns_of()]
    assert always[:3] == ["id", "row_px", "col_px"]
    assert always[-1] == "probability"
    everything = columns_of(["network", "neighbours", "texture"], has_classes=True)
    assert [column.name for column in everything] == [column.name for column in ALL_COLUMNS]
    assert columns_of(["network", "neighbours", "texture"]) == everything[:-1]
    assert len(columns_of(["network"])) == len(always) + NETWORK_FEATURES
    assert [column.name for column in columns_of(has_probability=False)] == always[:-1]
