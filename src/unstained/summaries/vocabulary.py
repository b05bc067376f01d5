"""The words that a summary may use beside the names and numbers of a prediction.

What is not listed is refused. A list of what is forbidden would have to foresee every disease,
drug, cell type, language and turn of phrase; this one only has to hold what is needed to tell a
prediction. Words that would add something to it (high, typical, expresses ...) are absent.
"""

from __future__ import annotations

import re
from typing import Final


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


PLAIN: Final = words(
    """
    a an the this that these those it its which
    them they model's network's cell's based according compared versus
    classifies classified classify
    of for at in on to with by from as between among within
    and or but while whereas also so both either
    is are be being was were has have having does do
    model network prediction predictions predict predicts predicted predicting
    estimate estimates estimated estimating estimation
    give gives gave given giving assign assigns assigned say says said put puts report
    reports reported
    get gets receive receives
    class classes cell label category categories candidate candidates
    probability probabilities chance calibrated calibration
    set sets conformal coverage cover covers hold holds contain contains include includes including
    made up consist consists
    marker markers value values level levels signal signals channel channels intensity
    share shares proportion proportions fraction
    pooled combined joint
    error errors interval intervals
    approximately about around roughly near
    image images label-free unstained
    task answer summary result results
    remain remains remaining stay stays
    """
)

ATTRIBUTION: Final = words(
    """
    model network prediction predictions predict predicts predicted predicting estimate estimates
    estimated estimating estimation probability probabilities probable likely probably set sets
    candidate candidates chance conformal model's network's gives gave given assigns
    assigned classifies
    classified
    """
)
"""A sentence that names a class or a value has one of them: it tells what was predicted."""

DECIDED: Final = words("likely probable probably single only alone sole")
"""Words for a set that holds the most probable class alone."""

UNDECIDED: Final = words("possible undecided ambiguous abstains abstain empty")
"""Words for any other set."""

SUPERLATIVES: Final = frozenset({"most probable", "most likely", "highest probability"})

SAYS_UNDECIDED: Final = frozenset(
    {
        "does not decide",
        "did not decide",
        "cannot decide",
        "cannot be decided",
        "could not decide",
        "is not decided",
        "does not settle",
        "no single class",
        "does not single out",
        "no decision",
        "cannot tell",
        "undecided",
        "ambiguous",
        "abstains",
        "abstain",
        "leaves open",
        "left open",
        "remains open",
        "stays open",
    }
)
SAYS_EMPTY: Final = frozenset(
    {"is empty", "empty set", "empty prediction set", "holds no class", "contains no class"}
)
SAYS_OUTSIDE: Final = frozenset(
    f"not {where} the {which}set"
    for where in ("in", "within", "part of", "among")
    for which in ("", "prediction ", "conformal ")
)
SAYS_ALONE: Final = frozenset(
    {
        "holds no other class",
        "contains no other class",
        "includes no other class",
        *(f"no other class is in the {which}set" for which in ("", "prediction ", "conformal ")),
    }
)
SAYS_SIMULATED: Final = frozenset({"learned from simulated cells", "trained on simulated cells"})
SAYS_TESTED: Final = frozenset({"on test cells", "on the test cells"})
SAYS_ERROR: Final = frozenset({"mean absolute error", "mean absolute errors", "average error"})
SAYS_POOLED: Final = frozenset(
    f"{verb} {done}"
    for verb in ("cannot be", "are not", "is not")
    for done in ("separated", "split")
)
SAYS_PREDICTED: Final = frozenset({"not measured"})
SAYS_MISSING: Final = frozenset({"not predicted", "no value"})
SAYS_NOTHING: Final = frozenset({"no probability", "no probabilities", "no shares"})
PHRASES: Final = (
    frozenset(SUPERLATIVES)
    | SAYS_UNDECIDED
    | SAYS_EMPTY
    | SAYS_OUTSIDE
    | SAYS_ALONE
    | SAYS_SIMULATED
    | SAYS_TESTED
    | SAYS_ERROR
    | SAYS_POOLED
    | SAYS_PREDICTED
    | SAYS_MISSING
    | SAYS_NOTHING
)

POOLING: Final = words("pooled combined joint separated split")
"""Words of a channel that holds several markers."""

NEGATION: Final = frozenset({"not", "no", "cannot"})
"""Allowed within one of the phrases above alone."""

OUTCOME: Final = words(
    """
    decide decided decision settle tell out left other part could open leaves learned trained
    simulated cells test did separated split measured most highest mean absolute average
    """
)
"""Words of those phrases that stand nowhere else."""

LINKS: Final = words(
    """
    is are was be being at of as to a an the with has have its it value values level levels signal
    channel intensity about approximately around roughly near estimated predicted probability
    probabilities calibrated chance share proportion fraction for given gives gave gets receives
    assigned pooled combined joint model by mean absolute average error errors on test cells
    interval prediction
    which most probable likely highest class
    """
)
"""What may stand between a name and its number."""

BACKWARD: Final = words(
    """
    probability chance of for to being a an the that it is this cell calibrated share proportion
    fraction class predicted estimated
    """
)
"""What may stand between a number and the name that it belongs to."""

ERROR: Final = frozenset({"error", "errors"})
INTERVALS: Final = frozenset({"interval", "intervals"})
TO_ENDS: Final = words("is of for from between :")
"""What may stand between 'interval' and its ends, beside the name that it is of."""
DASHES: Final = words("– —")
BETWEEN_ENDS: Final = words("to and –")
INTRODUCING: Final = words("a an the its with predicted ( , :")
"""What may stand before the coverage of an interval, 'a 90 % interval'; else its name does."""

PREDICATES: Final = words(
    """
    predict predicts predicted predicting prediction likely probable probably estimate
    estimates estimated
    estimating estimation say says said put puts report reports reported classify classifies
    classified
    label category answer result results summary
    """
)
GIVING: Final = frozenset(
    ["give", "gives", "gave", "given", "giving", "assign", "assigns", "assigned"]
)
"""Words that give one class as the answer; those of `GIVING` do not, where its number follows."""

QUANTITIES: Final = words(
    """
    probability probabilities value values level levels marker markers share shares proportions
    set sets signal signals
    """
)
"""What 'predicted' may be said of beside a class."""

MEMBERSHIP: Final = words(
    """
    set sets hold holds contain contains include includes including candidate candidates possible
    remain remains remaining between among either both or consists consist made undecided
    ambiguous decide
    """
)
"""Words of sentences that tell what the set holds."""

WORD_NUMBERS: Final = {
    word: n
    for n, word in enumerate(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    )
}

ADVICE: Final = re.compile(
    r"(?:should|recommend\w*|advis\w*|consult\w*|treat\w*|therap\w*|diagnos\w*|prescri\w*|suggest\w*|must|"
    r"patient\w*|physician\w*|doctor\w*|clinic\w*|urgent\w*|follow-up|further|confirm\w*|need\w*|please|"
    r"refer\w*|administer\w*|dos(?:e|es|age)|drug\w*|disease\w*|\w*(?:emia|aemia|itis|oma|osis|pathy))",
    re.IGNORECASE,
)
OVERCLAIM: Final = re.compile(
    r"(?:certain\w*|sure\w*|definite\w*|definitive\w*|undoubted\w*|doubt\w*|unambiguous\w*|unequivocal\w*|"
    r"clear\w*|obvious\w*|evident\w*|proven?|proves|guarantee\w*|confiden\w*|conclusive\w*|always|never|"
    r"undeniabl\w*|unmistakabl\w*|exact\w*|strong\w*|high\w*|sole\w*|only|alone|single|likely|probabl[ey]|"
    r"possible|undecided|ambiguous|abstains?|empty)",
    re.IGNORECASE,
)
CELL_KINDS: Final = re.compile(
    r"(?:\w*(?:cyte|phil|blast|phage|cytic|philic|platelet|erythroid|lymphoid|myeloid)s?|nk|neuron\w*|"
    r"astroglia\w*|glia\w*|leuk\w*|stem|tumou?r\w*|t-cells?|b-cells?)",
    re.IGNORECASE,
)
"""These three only name the reason of a refusal: every word that is not allowed is refused."""

COUNTED: Final = words("class classes candidates labels categories")
SINGULAR: Final = words("pooled combined joint channel signal")
"""Words behind 'one' where it is an article."""

OF_CLASSES: Final = words("probability probabilities chance calibrated")
OF_SHARES: Final = words("share shares proportion proportions fraction")
OF_VALUES: Final = words(
    """
    value values level levels signal signals channel intensity error errors interval intervals ±
    """
)
"""Words between a name and a number that tell what the number is."""

ALONE: Final = words("single only alone sole")
TO_CLASS: Final = words(
    """
    class classes cell label category candidate is are at being be to remains stays a an the of
    this as its with by estimated still , : – — model has gets which
    """
)
"""What may stand between 'most probable' and its class."""
SUBJECTS: Final = words("cell it this which that these them they image")
PICTURED: Final = words("cell cells image images marker markers channel channels")
ANSWERING: Final = words(
    """
    gives gave say says said predict predicts estimate estimates assign assigns classify
    classifies put puts report reports
    """
)
"""What a cell or an image cannot do: the model does."""
COPULAS: Final = words("is was are were being be been remains stays")
REPORTING: Final = words("predicts predicted estimates estimated probability chance")
"""A bare claim, 'the cell is a ...', and the words before 'that' that make a prediction of it."""

HOLDING: Final = words("hold holds contain contains include includes including consist consists")
"""What a set does, and nothing else."""
BESIDE: Final = words(", : ( ) and or either both a an the")
"""What stands between classes that are given together."""
TO_NAME: Final = words("is being remains as : a an the by model")
"""What stands between 'class' and the class that it says."""
APPOSED: Final = frozenset({",", ":", "("})
"""Between 'the cell' and a class that it is said to be."""

VERBS: Final = words(
    """
    is are be being was were has have having does do did predict predicts predicted estimate
    estimates
    estimated give gives gave given assign assigns assigned say says said put puts report
    reports reported
    read reads get gets receive receives come comes hold holds contain contains include
    includes consists
    consist remain remains stay stays leaves left classify classifies classified abstains
    abstain cannot
    could decide learned trained
    """
)
ARTICLES: Final = words("a an the its")
PREPOSITIONS: Final = words("of for at on to with by from as between among within")
FINITE: Final = frozenset(["is", "are", "was", "were", "has", "have", "does", "do"])
"""What makes words a sentence: a verb, and no article before one of these, say."""

BECAUSE: Final = words("as from so compared versus based which")
"""Words that would tie a class to a value in one sentence: no reason for a class was predicted."""
LEVELS: Final = words("value values level levels signal signals")
MEASURED: Final = LEVELS | words("marker markers channel channels")
"""What has a value and no class."""
CLASS_WORDS: Final = words("class classes label category candidate")
OWNING: Final = words("of for by from at")
CLASSLESS: Final = words("set sets coverage probability probabilities share shares")
"""What no class is of, behind a word of `OWNING`."""
SETTLING: Final = words("as being so")
"""Words that would settle a class which is told with its number alone, where nothing is decided."""
