import pytest

from gateway.demo.charts import line


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ([1, 3, 2], "M0.0 20.0L5.0 0.0L10.0 10.0"),
        ([7, 7], "M0.0 10.0L10.0 10.0"),
        ([-1.0, 1.0], "M0.0 20.0L10.0 0.0"),
    ],
)
def test_a_line_fills_its_box(values: list[float], path: str) -> None:
    assert line(values, 10, 20) == path
