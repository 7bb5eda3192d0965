"""What a reader of files gives for a cell; `cells` makes values of them."""

GENERAL, DATE = None, -1  # formats of numbers; n ≥ 0: n decimals are shown
SCIENTIFIC = -2  # SCIENTIFIC - n: n decimals and an exponent, such as `0.00E+0`
PADDED = 1_000  # PADDED + n: at least n digits, zeros before them, such as `00000`


class Serial(float):
    """A cell that a spreadsheet shows as a date or a time: days since 1899-12-30, of any zone."""


class Shown(float):
    """A number in a format that is not `GENERAL`, such as `0.00`."""

    format: int

    def __new__(cls, value: float, format: int) -> "Shown":
        """The number with its format."""
        number = super().__new__(cls, value)
        number.format = format
        return number

    def __reduce__(self) -> tuple[type, tuple[float, int]]:
        """What `pickle` makes it of."""
        return type(self), (float(self), self.format)


class Broken(str):
    """A cell that has no value, and why.

    `code` is the error that a spreadsheet shows, as `#N/A`.
    """

    code: str

    def __new__(cls, why: str, code: str = "#N/A") -> "Broken":
        """The cell that has no value for this reason."""
        cell = super().__new__(cls, why)
        cell.code = code
        return cell

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        """What `pickle` makes it of."""
        return type(self), (str(self), self.code)


class Cut(str):
    """A text that the export has cut, as the sheet `notes` says: only its begin is here."""


# What a reader gives: a text ("" where the cell is empty), a number, a truth value, one of the
# above.
Cell = str | int | float | bool
