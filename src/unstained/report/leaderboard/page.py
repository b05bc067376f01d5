"""The leaderboard as a page: who is champion and why, who leads, what is significant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from unstained.config.study import StudyData
from unstained.config.tasks import ClassesParams
from unstained.registry.standings import (
    Entry,
    Leaderboard,
    Versus,
    accuracy,
    find_entry,
    findings,
    gain,
    has_classes,
    has_mcnemar,
    metric_words,
    number,
    side_tasks,
)
from unstained.report.figures import ForestRow, forest
from unstained.report.page import (
    Block,
    Cell,
    Definitions,
    Page,
    Plots,
    Section,
    Table,
    Text,
    Tile,
    Verdict,
    render,
    svg_picture,
)
from unstained.report.prose import Prose
from unstained.statistics.intervals import Estimate
from unstained.wording import counted

PROSE = Prose(__name__)


def leaderboard_page(
    leaderboard: Leaderboard, data: StudyData, decision: Mapping[str, Any] | None = None
) -> str:
    """The page as one HTML file.

    Args:
        leaderboard: all comparable versions.
        data: titles and classes of the study.
        decision: content of decision.json, where the gate was asked about this table.
    """
    champion = leaderboard["champion"] if decision is None else decision.get("champion")
    sections = [
        _standings(leaderboard, data, champion),
        _differences(leaderboard),
        _method(leaderboard),
    ]
    if decision and decision.get("criteria"):
        sections.insert(0, _gate(decision))
    if leaderboard["not_comparable"]:
        sections.append(_others(leaderboard))
    page = Page(
        title=f"{data.title}: leaderboard",
        question=PROSE("question"),
        kicker=f"Study {leaderboard['study']}, registered model {leaderboard['name']}",
        verdict=_verdict(leaderboard, champion, decision),
        sections=sections,
        simulated=leaderboard["simulated"],
        footer=f"Data {leaderboard['data_digest'][:12]}, split {leaderboard['split_digest'][:12]}.",
    )
    return render(page)


def _verdict(
    leaderboard: Leaderboard, champion: int | None, decision: Mapping[str, Any] | None
) -> Verdict:
    sentences = findings(leaderboard)
    if decision:
        sentences = [_sentence(decision["sentence"]), *sentences]
    first, *rest = sentences
    leader = leaderboard["entries"][0]
    metric = metric_words(leaderboard)
    tiles = (
        Tile("champion", *_champion(leaderboard, champion)),
        Tile(f"{metric} of the leader", f"{leader['value']:.3f}", _span(leader)),
        Tile("versions compared", str(len(leaderboard["entries"])), _cells(leaderboard)),
    )
    return Verdict("neutral", first, tuple(rest), tiles)


def _champion(leaderboard: Leaderboard, champion: int | None) -> tuple[str, str]:
    """What is said of the champion in large and in small letters."""
    if champion is None:
        return "none", "no version serves predictions"
    entry = find_entry(leaderboard, champion)
    model = f"{entry['model']}, " if entry else ""
    return f"v{champion}", f"{model}serves predictions"


def _sentence(text: str) -> str:
    """A sentence with its full stop, and a capital letter unless it begins with a version."""
    version = text[:1] == "v" and text[1:2].isdigit()
    return f"{text if version else text[0].upper() + text[1:]}."


def _gate(decision: Mapping[str, Any]) -> Section:
    """What the challenger was held against."""
    rows = tuple(
        (
            Cell(found["name"]),
            Cell("passed" if found["passed"] else "refused", strong=not found["passed"]),
            Cell(found["sentence"]),
        )
        for found in decision["criteria"]
    )
    challenger = f"v{decision['challenger']} {decision['model']}"
    return Section(
        key="gate",
        title="The gate",
        short="Gate",
        lead=PROSE("gate_lead", challenger=challenger),
        blocks=(Table(f"Conditions for {challenger}", ("condition", "", "found"), rows),),
    )


def _standings(leaderboard: Leaderboard, data: StudyData, champion: int | None) -> Section:
    metric = metric_words(leaderboard)
    shown = side_tasks(leaderboard)
    classes = has_classes(leaderboard)
    measures = ["accuracy", "worst class", "calibration error"] if classes else []
    measures += [f"{name.replace('_', ' ')} {task}" for task, name in shown.items()]
    table = Table(
        caption=f"Versions by {metric} on the test cells",
        columns=("version", metric, *measures, "ms a cell"),
        rows=tuple(_standing(leaderboard, entry, champion) for entry in leaderboard["entries"]),
        note=PROSE("standings_note", classes=classes),
    )
    blocks: tuple[Block, ...] = (table,)
    if isinstance(data.primary_task, ClassesParams):
        blocks += (_forest(leaderboard, 1 / len(data.primary_task.class_names)),)
    return Section(
        key="standings",
        title="Standings",
        short="Standings",
        lead=f"All versions predict the same {_cells(leaderboard)}.",
        blocks=blocks,
    )


def _forest(leaderboard: Leaderboard, chance: float) -> Plots:
    metric = metric_words(leaderboard)
    rows = [
        ForestRow(_name(e), Estimate(e["value"], e["low"], e["high"]), None, is_model=True)
        for e in leaderboard["entries"]
    ]
    plot = svg_picture(
        forest(rows, metric, chance, "", ""),
        "; ".join(f"{_name(e)} {e['value']:.3f}, {_span(e)}" for e in leaderboard["entries"]),
        720,
    )
    caption = PROSE(
        "forest_caption", metric=metric, confidence=format(leaderboard["confidence"], ".0%")
    )
    return Plots(caption, (plot,))


def _standing(leaderboard: Leaderboard, entry: Entry, champion: int | None) -> tuple[Cell, ...]:
    held, strong = entry["version"], entry["version"] == champion
    marks = {
        "champion": strong,
        "champion before": held == leaderboard["champion"] != champion,
        "new": entry["new"],
    }
    said = ", ".join(word for word, applies in marks.items() if applies)
    of_classes = (accuracy(entry), entry["min_class_recall"], entry["ece"])
    shade = entry["value"] if has_mcnemar(leaderboard) else None
    return (
        Cell(_name(entry), said, strong=strong),
        Cell(f"{entry['value']:.3f}", _span(entry), shade=shade, strong=strong),
        *([Cell(number(value)) for value in of_classes] if has_classes(leaderboard) else []),
        *(Cell(number(entry["tasks"][t][name])) for t, name in side_tasks(leaderboard).items()),
        Cell(f"{entry['latency_ms']:.1f}", "" if entry["parity_passed"] else "parity failed"),
    )


def _differences(leaderboard: Leaderboard) -> Section:
    blocks: list[Block] = []
    leads = leaderboard["champion"] == leaderboard["leader"]
    pairs = [(entry, entry["versus_leader"]) for entry in leaderboard["entries"]]
    word = "leader and champion" if leads else "leader"
    blocks += _differences_to(leaderboard, f"{word}, v{leaderboard['leader']}", pairs)
    if not leads:
        pairs = [(entry, entry["versus_champion"]) for entry in leaderboard["entries"]]
        opponent = f"champion when this was compared, v{leaderboard['champion']}"
        blocks += _differences_to(leaderboard, opponent, pairs)
    if not blocks:
        blocks.append(Text((PROSE("single_version"),)))
    caveats = sorted({test["caveat"] for test in leaderboard["tests"] if test["caveat"]})
    if caveats:
        blocks.append(Text(tuple(f"Note: {caveat}." for caveat in caveats)))
    return Section(
        key="differences",
        title="Differences",
        short="Differences",
        lead=PROSE("differences_lead"),
        blocks=tuple(blocks),
    )


def _differences_to(
    leaderboard: Leaderboard, opponent: str, pairs: Sequence[tuple[Entry, Versus | None]]
) -> list[Block]:
    rows = tuple(
        _difference(leaderboard, entry, found) for entry, found in pairs if found is not None
    )
    mcnemar = ["p McNemar"] if has_mcnemar(leaderboard) else []
    columns = ("version", "difference", "p", "p adjusted", *mcnemar, "verdict")
    return [Table(f"Each version minus the {opponent}", columns, rows)] if rows else []


def _signed(value: float) -> str:
    return f"{value:+.4f}".replace("-", "−")


def _difference(leaderboard: Leaderboard, entry: Entry, found: Versus) -> tuple[Cell, ...]:
    significant = found["p_adjusted"] < leaderboard["alpha"]
    side = "better" if gain(leaderboard, found["difference"]) > 0 else "worse"
    mcnemar = [] if found["p_mcnemar"] is None else [Cell(_p(found["p_mcnemar"]))]
    return (
        Cell(_name(entry)),
        Cell(_signed(found["difference"]), f"{_signed(found['low'])} to {_signed(found['high'])}"),
        Cell(_p(found["p"])),
        Cell(_p(found["p_adjusted"])),
        *mcnemar,
        Cell(f"significantly {side}" if significant else "not distinguishable", strong=significant),
    )


def _method(leaderboard: Leaderboard) -> Section:
    floors = [test["p_floor"] for test in leaderboard["tests"]]
    items = [
        (
            "p",
            PROSE("method_p", floor=f"{max(floors):.3g}" if floors else ""),
        ),
        (
            "p adjusted",
            PROSE(
                "method_p_adjusted",
                correction=leaderboard["correction"],
                alpha=format(leaderboard["alpha"], "g"),
            ),
        ),
        *([("p McNemar", PROSE("method_mcnemar"))] if has_mcnemar(leaderboard) else []),
        (
            "difference",
            PROSE(
                "method_difference",
                metric=metric_words(leaderboard),
                confidence=format(leaderboard["confidence"], ".0%"),
            ),
        ),
        (
            "champion",
            PROSE("method_champion"),
        ),
    ]
    return Section(
        key="method",
        title="How it was compared",
        short="Method",
        lead="Nothing is compared across different cells.",
        blocks=(Definitions(tuple(items)),),
    )


def _others(leaderboard: Leaderboard) -> Section:
    rows = tuple(
        (
            Cell(f"v{other['version']} {other['model']}", ", ".join(other["aliases"])),
            Cell(other["reason"]),
        )
        for other in leaderboard["not_comparable"]
    )
    return Section(
        key="others",
        title="Not comparable",
        short="Not comparable",
        lead=PROSE("others_lead"),
        blocks=(Table("Versions left out", ("version", "why"), rows),),
    )


def _name(entry: Entry) -> str:
    return f"v{entry['version']} {entry['model']}"


def _span(entry: Entry) -> str:
    return f"{entry['low']:.3f} to {entry['high']:.3f}"


def _cells(leaderboard: Leaderboard) -> str:
    groups = counted(leaderboard["test_groups"], "group")
    return f"{counted(leaderboard['test_cells'], 'test cell')} in {groups}"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
