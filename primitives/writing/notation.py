"""Expressions of mathematics, and how they are written: for a terminal, and in LaTeX.

An expression is a tree of primitives. Parentheses stand where the tree could be
read in another way, but for sums of sums and products of products: what is
written is equal as real numbers, and may round differently.
"""

from __future__ import annotations

import abc
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from primitives.registry import PRIMITIVES
from primitives.writing.listing import Number


@dataclass(frozen=True)
class Name:
    """What a variable is called: a letter, or the whole name where papers have no letter for it."""

    letter: str
    number: str = ""
    accent: str = ""
    mark: int = 0  # primes, where the name is taken already


@dataclass(frozen=True)
class Symbol:
    """A variable in step t + `step`, in the fixed step `at`, or one that does not change."""

    name: Name
    step: int | None = None
    at: int | None = None
    scalar: bool = False

    @property
    def index(self) -> str:
        """The step as text: "t", "t-1", "0", or ""."""
        if self.step is None:
            return "" if self.at is None else str(self.at)
        return f"t{self.step:+}" if self.step else "t"


@dataclass(frozen=True)
class Operation:
    """A primitive applied to expressions."""

    op: str
    args: tuple[Expression, ...]
    scalar: bool = False


Expression = Number | Symbol | Operation


def is_scalar(e: Expression) -> bool:
    """Tell whether an expression is one number."""
    return isinstance(e, Number) or e.scalar


# --- what primitives look like --------------------------------------------------------------------

SUM, QUOTIENT, MATRIX, PRODUCT, POWER, ATOM = range(6)
"""How tightly an expression holds together. `a·b / c` is a quotient, `A B` a matrix product."""

_LEVELS = {"sum": SUM, "power": POWER, "atom": ATOM}


@dataclass(frozen=True)
class Form:
    """How a primitive is written.

    `{1}` is its first argument, `{1 atom}` the same in parentheses where it is looser than an atom.
    """

    unicode: str
    latex: str
    level: int = ATOM
    note: bool = True  # whether its meaning is said below a rule


def _function(unicode: str, latex: str) -> Form:
    return Form(f"{unicode}({{1}})", rf"{latex}\left({{1}}\right)")


def _fence(left: str, right: str, latex_left: str, latex_right: str, note: bool = True) -> Form:
    return Form(f"{left}{{1}}{right}", rf"\left{latex_left} {{1}} \right{latex_right}", note=note)


FORMS = {
    "sqrt": Form("√{1 atom}", r"\sqrt{{1}}", POWER),
    "cbrt": Form("∛{1 atom}", r"\sqrt[3]{{1}}", POWER),
    "abs": _fence("|", "|", "|", "|", note=False),
    "norm": _fence("‖", "‖", r"\|", r"\|"),
    "largest": _fence("‖", "‖∞", r"\|", r"\|_{\infty}"),
    "global_norm": _fence("‖", "‖ₐₗₗ", r"\|", r"\|_{\mathrm{all}}"),
    "dot": Form("⟨{1}, {2}⟩", r"\left\langle {1}, {2} \right\rangle"),
    "cosine_sim": Form("cos∠({1}, {2})", r"\cos\angle\left({1}, {2}\right)"),
    "total": _function("Σ", r"\sum"),
    "global_total": _function("Σₐₗₗ", r"\sum_{\mathrm{all}}"),
    "log": Form("ln|{1}|", r"\ln\left|{1}\right|"),
    "log10": Form("log₁₀|{1}|", r"\log_{10}\left|{1}\right|"),
    "log2": Form("log₂|{1}|", r"\log_2\left|{1}\right|"),
    "log1p": Form("ln|1 + {1 sum}|", r"\ln\left|1 + {1 sum}\right|"),
    "expm1": Form("exp({1}) - 1", r"\exp\left({1}\right) - 1", SUM, note=False),
    "maximum": Form("max({1}, {2})", r"\max\left({1}, {2}\right)", note=False),
    "minimum": Form("min({1}, {2})", r"\min\left({1}, {2}\right)", note=False),
    "floor": Form("⌊{1}⌋", r"\left\lfloor {1} \right\rfloor", note=False),
    "invert": Form("[{1} = 0]", r"\left[{1} = 0\right]", note=False),
    "modulo": Form("({1 power} mod {2 power})", r"\left({1 power} \bmod {2 power}\right)"),
    "matmul": Form("{1 power} {2 power}", r"{1 power}\, {2 power}", MATRIX, note=False),
    "gram_left": Form("{1 atom} {1 atom}ᵀ", r"{1 atom}\, {1 atom}^{\top}", MATRIX, note=False),
    "gram_right": Form("{1 atom}ᵀ {1 atom}", r"{1 atom}^{\top}\, {1 atom}", MATRIX, note=False),
    "transpose": Form("{1 atom}ᵀ", r"{1 atom}^{\top}", POWER, note=False),
    "trace": _function("tr", r"\operatorname{tr}"),
    "add_diagonal": Form("{1} + {2 power}·I", r"{1} + {2 power}\, I", SUM, note=False),
    "inverse_root": Form("{1 atom}^(-1 / {2 power})", r"{1 atom}^{-1/{2 power}}", POWER),
}
"""Primitives that mathematics has signs for.

All others are written as functions, with their own names.
"""

SAME_AS = {
    "square": lambda x: Operation("power", (x, Number("2.0"))),
    "cube": lambda x: Operation("power", (x, Number("3.0"))),
    "reciprocal": lambda x: Operation("divide", (Number("1.0"), x)),
    "exp2": lambda x: Operation("power", (Number("2.0"), x)),
    "exp10": lambda x: Operation("power", (Number("10.0"), x)),
}
"""Primitives that are written as another one."""

KNOWN_TO_LATEX = ("sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "exp")

_COMPARISONS = {">=": ("≥", r"\ge"), "<=": ("≤", r"\le"), "==": ("=", "="), "!=": ("≠", r"\ne")}


def is_comparison(op: str) -> bool:
    """Tell whether a primitive compares, as > does."""
    return bool(PRIMITIVES[op].infix) and PRIMITIVES[op].family == "logic"


# --- what both notations share --------------------------------------------------------------------

_SLOT = re.compile(r"\{(\d)(?: (\w+))?\}")


class Notation(abc.ABC):
    """A way to write expressions; what all ways share is where parentheses stand."""

    dot: str
    pi: str
    column: int  # of `_COMPARISONS`

    def write(self, e: Expression) -> str:
        """Return an expression as text."""
        return self.show(e)[0]

    def show(self, e: Expression) -> tuple[str, int]:
        """Return the text of an expression, and how tightly it holds together.

        A text that begins with a minus can stand only where nothing stands before it.
        """
        if isinstance(e, Number):
            return self.number(e.value)
        if isinstance(e, Symbol):
            return self.symbol(e)
        if e.op in SAME_AS:
            return self.show(SAME_AS[e.op](*e.args))
        if e.op in FORMS:
            return self.form(e)
        by_hand = getattr(self, f"_{e.op}", None)
        if by_hand is not None:
            return by_hand(*e.args)
        if is_comparison(e.op):
            return self.bracket(self.condition(e)), ATOM
        return self.function(e), ATOM

    def at(self, e: Expression, least: int, first: bool = False) -> str:
        """Return the text of an expression, in parentheses where it is looser than `least`.

        first: whether it may begin with a minus.
        """
        text, level = self.show(e)
        return (
            self.parentheses(text)
            if level < least or (text.startswith("-") and not first)
            else text
        )

    def filled(self, template: str, args: Sequence[Expression]) -> str:
        """Return a form with its arguments."""
        return _SLOT.sub(
            lambda m: self.at(args[int(m[1]) - 1], _LEVELS[m[2] or "sum"], first=not m[2]), template
        )

    @abc.abstractmethod
    def form(self, e: Operation) -> tuple[str, int]: ...

    def _add(self, x: Expression, y: Expression) -> tuple[str, int]:
        left, right = self.write(x), self.write(y)
        return (f"{left} - {right[1:]}" if right.startswith("-") else f"{left} + {right}"), SUM

    def _subtract(self, x: Expression, y: Expression) -> tuple[str, int]:
        left, right = self.write(x), self.at(y, QUOTIENT, first=True)
        return (f"{left} + {right[1:]}" if right.startswith("-") else f"{left} - {right}"), SUM

    def _negative(self, x: Expression) -> tuple[str, int]:
        text, level = self.show(x)
        if text.startswith("-") or level < QUOTIENT:
            text, level = self.parentheses(text), ATOM
        return f"-{text}", min(level, PRODUCT)

    def _multiply(self, x: Expression, y: Expression) -> tuple[str, int]:
        factors = sorted([*_factors(x), *_factors(y)], key=_place)
        parts = [
            self.at(factor, PRODUCT, first=number == 0) for number, factor in enumerate(factors)
        ]
        return self.product(factors, parts), PRODUCT

    @abc.abstractmethod
    def product(self, factors: Sequence[Expression], parts: Sequence[str]) -> str: ...

    def number(self, value: float) -> tuple[str, int]:
        if value == math.pi:
            return self.pi, ATOM
        text = f"{value:g}" if float(f"{value:g}") == value else repr(value)
        if "e" not in text:
            return text.removesuffix(".0"), ATOM
        mantissa, exponent = text.split("e")
        power = self.raised("10", str(int(exponent)))
        if mantissa in ("1", "-1"):
            return mantissa[:-1] + power, POWER
        return f"{mantissa}{self.dot}{power}", PRODUCT

    @abc.abstractmethod
    def symbol(self, s: Symbol) -> tuple[str, int]: ...

    @abc.abstractmethod
    def raised(self, base: str, exponent: str) -> str: ...

    @abc.abstractmethod
    def parentheses(self, text: str) -> str: ...

    @abc.abstractmethod
    def bracket(self, text: str) -> str: ...

    @abc.abstractmethod
    def function(self, e: Operation) -> str: ...

    def condition(self, e: Expression) -> str:
        """Return what is asked, without brackets: `a > b`, or `a ≠ 0` of a number."""
        if isinstance(e, Operation) and is_comparison(e.op):
            infix = PRIMITIVES[e.op].infix
            sign = _COMPARISONS[infix][self.column] if infix in _COMPARISONS else infix
            return f"{self.write(e.args[0])} {sign} {self.write(e.args[1])}"
        return f"{self.write(e)} {_COMPARISONS['!='][self.column]} 0"


def _factors(e: Expression) -> list[Expression]:
    """Return the factors of a product of products."""
    if isinstance(e, Operation) and e.op == "multiply":
        return [*_factors(e.args[0]), *_factors(e.args[1])]
    return [e]


def _times(x: Expression, y: Expression) -> Expression:
    return Operation("multiply", (x, y), is_scalar(x) and is_scalar(y))


def _place(factor: Expression) -> int:
    """Return the place of a factor in a product.

    Numbers come first, then constants, other scalars and arrays; quotients come last.
    """
    if isinstance(factor, Number):
        return int(factor.value == math.pi)
    if isinstance(factor, Symbol):
        return (1 if factor.step is None else 2) if factor.scalar else 4
    quotient = factor.op in ("divide", "reciprocal")
    return (6 if quotient else 3) if factor.scalar else (7 if quotient else 5)


# --- for a terminal -------------------------------------------------------------------------------

_LOWERED = str.maketrans("0123456789t-+", "₀₁₂₃₄₅₆₇₈₉ₜ₋₊")
_RAISED = str.maketrans("0123456789t-+", "⁰¹²³⁴⁵⁶⁷⁸⁹ᵗ⁻⁺")
_ACCENTS = {"": "", "hat": "\u0302", "bar": "\u0304", "tilde": "\u0303"}


class Unicode(Notation):
    """`wₜ = wₜ₋₁ - ηₜ·mₜ / (√vₜ + ε)`."""

    dot, pi, column = "·", "π", 0

    def symbol(self, s: Symbol) -> tuple[str, int]:
        name = s.name
        index = ",".join(part for part in (name.number, s.index) if part)
        text = name.letter + _ACCENTS[name.accent] + index.translate(_LOWERED)
        if not name.mark:
            return text, ATOM
        return text + (
            "′" * name.mark if name.mark <= 3 else f"⁽{str(name.mark).translate(_RAISED)}⁾"
        ), POWER

    def raised(self, base: str, exponent: str) -> str:
        small = exponent.replace(" ", "")
        if re.fullmatch(r"-?[0-9t]+([-+][0-9t]+)*", small):
            return base + small.translate(_RAISED)
        return ""

    def _power(self, x: Expression, y: Expression) -> tuple[str, int]:
        base = self.at(x, ATOM)
        return self.raised(base, self.write(y)) or f"{base}^{self.at(y, ATOM)}", POWER

    def _divide(self, x: Expression, y: Expression) -> tuple[str, int]:
        return f"{self.at(x, PRODUCT, first=True)} / {self.at(y, POWER)}", QUOTIENT

    def _where(self, condition: Expression, x: Expression, y: Expression) -> tuple[str, int]:
        return f"{{{self.write(x)} if {self.condition(condition)}, else {self.write(y)}}}", ATOM

    def _multiply(self, x: Expression, y: Expression) -> tuple[str, int]:
        """Write a·(b / c)·d as a·b·d / c: a fraction on one line can only end a product."""
        factors = [*_factors(x), *_factors(y)]
        plain = [
            SAME_AS[f.op](*f.args) if isinstance(f, Operation) and f.op in SAME_AS else f
            for f in factors
        ]
        for number, factor in enumerate(plain):
            if isinstance(factor, Operation) and factor.op == "divide":
                above, below = factor.args
                others = [*plain[:number], *_factors(above), *plain[number + 1 :]]
                others = [f for f in others if f != Number("1.0")] or [above]
                return self._divide(reduce(_times, others), below)
        return super()._multiply(x, y)

    def product(self, factors: Sequence[Expression], parts: Sequence[str]) -> str:
        return self.dot.join(parts)

    def parentheses(self, text: str) -> str:
        return f"({text})"

    def bracket(self, text: str) -> str:
        return f"[{text}]"

    def function(self, e: Operation) -> str:
        return f"{e.op}({', '.join(self.write(a) for a in e.args)})"

    def form(self, e: Operation) -> tuple[str, int]:
        form = FORMS[e.op]
        bars = set(form.unicode) & set("|‖")
        if any(bar in self.write(a) for bar in bars for a in e.args):
            return self.function(e), ATOM  # bars within bars do not say which is which
        return self.filled(form.unicode, e.args), form.level


# --- LaTeX ----------------------------------------------------------------------------------------

GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "zeta": "ζ", "eta": "η",
    "theta": "θ", "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν", "xi": "ξ", "rho": "ρ",
    "sigma": "σ", "tau": "τ", "phi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω",
}  # fmt: skip

_LETTERS = {letter: rf"\{word}" for word, letter in GREEK.items()} | {
    "ε": r"\varepsilon",
    "φ": r"\varphi",
}


class Latex(Notation):
    r"""`w_{t} = w_{t-1} - \eta_{t}\, \frac{m_{t}}{\sqrt{v_{t}} + \varepsilon}`."""

    dot, pi, column = r" \cdot ", r"\pi", 1

    def symbol(self, s: Symbol) -> tuple[str, int]:
        name = s.name
        letter = _LETTERS.get(name.letter, name.letter)
        if len(name.letter) > 1:
            letter = rf"\mathrm{{{_escaped(name.letter)}}}"
        if name.accent:
            letter = rf"\{name.accent}{{{letter}}}"
        index = ",".join(part for part in (name.number, s.index) if part)
        text = f"{letter}_{{{index}}}" if index else letter
        if not name.mark:
            return text, ATOM
        return self.raised(
            text, r"\prime" * name.mark if name.mark <= 3 else f"({name.mark})"
        ), POWER

    def raised(self, base: str, exponent: str) -> str:
        return f"{base}^{{{exponent}}}"

    def _power(self, x: Expression, y: Expression) -> tuple[str, int]:
        return self.raised(self.at(x, ATOM), self.write(y)), POWER

    def _divide(self, x: Expression, y: Expression) -> tuple[str, int]:
        return rf"\frac{{{self.write(x)}}}{{{self.write(y)}}}", POWER

    def _where(self, condition: Expression, x: Expression, y: Expression) -> tuple[str, int]:
        first = rf"{self.write(x)} & \text{{if }} {self.condition(condition)}"
        return (
            rf"\begin{{cases}} {first} \\ {self.write(y)} & \text{{otherwise}} \end{{cases}}",
            POWER,
        )

    def product(self, factors: Sequence[Expression], parts: Sequence[str]) -> str:
        """Join factors: numbers and scalars stand beside what they multiply, and two arrays are
        multiplied element by element.
        """
        text = parts[0]
        for before, factor, part in zip(factors, factors[1:], parts[1:], strict=False):
            elementwise = not is_scalar(before) and not is_scalar(factor)
            text += r" \odot " if elementwise else self.dot if part[0].isdigit() else r"\, "
            text += part
        return text

    def parentheses(self, text: str) -> str:
        return rf"\left({text}\right)" if _is_tall(text) else f"({text})"

    def bracket(self, text: str) -> str:
        return rf"\left[{text}\right]" if _is_tall(text) else f"[{text}]"

    def function(self, e: Operation) -> str:
        name = rf"\{e.op}" if e.op in KNOWN_TO_LATEX else rf"\operatorname{{{_escaped(e.op)}}}"
        return name + self.parentheses(", ".join(self.write(a) for a in e.args))

    def form(self, e: Operation) -> tuple[str, int]:
        return self.filled(FORMS[e.op].latex, e.args), FORMS[e.op].level


def _escaped(name: str) -> str:
    return name.replace("_", r"\_")


def _is_tall(text: str) -> bool:
    return "\\frac" in text or "\\begin" in text
