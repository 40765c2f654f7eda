"""Money as papers write it. Amounts are integer fen."""

from __future__ import annotations

_DIGITS = "零壹贰叁肆伍陆柒捌玖"
_PLACES = ("", "拾", "佰", "仟")
_GROUPS = ("", "万", "亿", "万亿")


def amount_in_figures(fen: int) -> str:
    """4800000 -> 48,000.00"""
    return f"{fen // 100:,}.{fen % 100:02d}"


def amount_in_words(fen: int) -> str:
    """The amount in capital numerals as the payment rules (支付结算办法, annex 1) want it: 人民币肆万捌仟元整.

    For 0 <= fen < 10**18; raises ValueError outside.
    """
    if not 0 <= fen < 10**18:
        raise ValueError(fen)
    yuan, jiao, rest = fen // 100, fen // 10 % 10, fen % 10
    words = _whole(yuan) + "元" if yuan else ""
    if not jiao and not rest:
        return f"人民币{words or '零元'}整"
    if jiao:
        words += _DIGITS[jiao] + "角"
    elif yuan:
        words += "零"
    return "人民币" + words + (_DIGITS[rest] + "分" if rest else "整")


def _whole(number: int) -> str:
    words, gap = "", False
    for group in range(len(_GROUPS) - 1, -1, -1):
        part = number // 10 ** (4 * group) % 10000
        if part == 0:
            gap = bool(words)
            continue
        if words and (gap or part < 1000):
            words += "零"
        words += _group(part) + _GROUPS[group]
        gap = False
    return words


def _group(part: int) -> str:
    words, gap = "", False
    for place in range(3, -1, -1):
        digit = part // 10**place % 10
        if digit == 0:
            gap = bool(words)
            continue
        words += ("零" if gap else "") + _DIGITS[digit] + _PLACES[place]
        gap = False
    return words
