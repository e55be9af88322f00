"""A whole audit of a subject: read by rules, beside networks that do not spike, its claims checked."""

from collections.abc import Sequence
from typing import Any

from misnet.audit.baselines import PRECISIONS, baselines
from misnet.audit.baselines_text import baseline_lines
from misnet.audit.claims import Claim, check_claims
from misnet.audit.claims_text import claim_lines
from misnet.audit.provenance import price_values
from misnet.audit.report import report
from misnet.audit.subject import Subject
from misnet.audit.text import audit_lines
from misnet.audit.training_step import training_lines, training_report
from snncore.energy import DEFAULT_TABLE, Prices, apply_rule, load_prices
from snncore.energy.samples import BY_SAMPLE

__all__ = ["whole"]


def whole(
    subject: Subject,
    prices: dict[str, Prices],
    claims: Sequence[Claim] = (),
    command: str = "",
    own: Prices | None = None,
) -> tuple[dict[str, Any], list[str], list[str]]:
    """Return (report, lines to print, lines on the claims).

    prices: by rule, each of which the subject is read by. own: a price table of the user, for what is beside the rules.
    """
    readings = {name: apply_rule(name, subject.ops, prices[name]) for name in prices}
    found = report(subject, readings, prices, command)
    given = [] if own is None else [own]
    ends = [f"at the {end} ends of the rates, given or assumed" for end in ("lower", "upper")]
    told = ends[0] if subject.high is not None else "by the given rates" if subject.by_rates else ""
    found["baselines"] = baselines(subject.ops, subject.timesteps, given, told)
    found["price_tables"] |= price_values([*map(load_prices, PRECISIONS), *given])
    if subject.high is not None:
        found["baselines"]["high"] = baselines(subject.high, subject.timesteps, given, ends[1])
    beside = baseline_lines(found["baselines"])
    if subject.training is not None:
        found["training_step"] = training_report(subject.training, own or load_prices(DEFAULT_TABLE))
        beside += ["", *training_lines(found["training_step"])]
    about: list[str] = []
    if claims:
        spreads = {name: rule.get("spread") for name, rule in found["rules"].items() if name in BY_SAMPLE}
        found["claims"] = check_claims(
            claims, subject.ops, readings, prices, spreads, subject.high, by_rates=subject.by_rates
        )
        about = [line for checked in found["claims"] for line in claim_lines(checked)]
        about.append(f"this audit: {subject.title}; a claim for")
        about.append("other inputs needs a run on them: operations grow with the pixels, rates differ by data")
    return found, audit_lines(found, beside), about
