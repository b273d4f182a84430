"""The Union's public summary of training content (Regulation (EU) 2024/1689, Article 53(1)(d)): its fields, filled in.

Titles and boxes are those of the official template; the file that the Commission publishes is another thing. What the
registry does not know it says, field by field. Each part of the form is filled by a module of its own.
"""

from collections.abc import Sequence

from inbond.registry.disclosure import collection, datasets, general, processing, synthetic
from inbond.registry.disclosure.document import Earlier
from inbond.registry.disclosure.facts import Facts
from inbond.registry.disclosure.openings import Openings
from inbond.registry.disclosure.routes import routes_of
from inbond.registry.disclosure.sheet import Asked, Form, Part, Sheet

_MODALITIES = "If yes, specify the modality(ies) of the content covered by the datasets concerned"
_COMMENTS = "Additional comments (optional)"
_MODALITY = "Type of modality covered"

FORM = Form(
    id="eu-summary",
    version="1",
    title="Public Summary of Training Content",
    follows="the fields of the template annexed to Commission Communication C(2025) 8311 final of 5 December 2025; this page "
    "is not the Commission's own file",
    parts=(
        Part("0", "Version of this Summary", 1, (
            Asked("0.a", "Version of the Summary"),
            Asked("0.b", "Last update"),
        )),
        Part("1", "General information", 1),
        Part("1.1", "Provider identification", 2, (
            Asked("1.1.a", "Provider name and contact details"),
            Asked("1.1.b", "Authorised representative name and contact details"),
        )),
        Part("1.2", "Model identification", 2, (
            Asked("1.2.a", "Versioned model name(s)"),
            Asked("1.2.b", "Model dependencies"),
            Asked("1.2.c", "Date of placement of the model on the Union market"),
        )),
        Part("1.3", "Modalities, overall training data size and other characteristics", 2, (
            Asked("1.3.a", "Modality"),
            Asked("1.3.b", "Training data size"),
            Asked("1.3.c", "Types of content"),
            Asked("1.3.d", "Latest date of data acquisition/collection for model training"),
            Asked("1.3.e", "Description of the linguistic characteristics of the overall training data"),
            Asked("1.3.f", "Other relevant characteristics of the overall training data", optional=True),
            Asked("1.3.g", _COMMENTS, optional=True),
        )),
        Part("2", "List of data sources", 1),
        Part("2.1", "Publicly available datasets", 2, (
            Asked("2.1.a", "Have you used publicly available datasets to train the model?"),
            Asked("2.1.b", _MODALITIES),
            Asked("2.1.c", "List of large publicly available datasets"),
            Asked("2.1.d", "General description of other publicly available datasets not listed above"),
            Asked("2.1.e", _COMMENTS, optional=True),
        )),
        Part("2.2", "Private non-publicly available datasets obtained from third parties", 2),
        Part("2.2.1", "Datasets commercially licensed by rightsholders or their representatives", 3, (
            Asked(
                "2.2.1.a",
                "Have you concluded transactional commercial licensing agreement(s) with rightsholder(s) or with their "
                "representatives?",
            ),
            Asked("2.2.1.b", _MODALITIES),
        )),
        Part("2.2.2", "Private datasets obtained from other third parties", 3, (
            Asked(
                "2.2.2.a",
                "Have you obtained private datasets from third parties that are not licensed as described in Section 2.2.1, "
                "such as data obtained from providers of private databases, or data intermediaries?",
            ),
            Asked("2.2.2.b", _MODALITIES),
            Asked("2.2.2.c", "If publicly known, list private datasets obtained from other third parties"),
            Asked("2.2.2.d", "General description of non-publicly known private datasets obtained from third parties"),
            Asked("2.2.2.e", _COMMENTS, optional=True),
        )),
        Part("2.3", "Data crawled and scraped from online sources", 2, (
            Asked("2.3.a", "Were crawlers used by the provider or on behalf of?"),
            Asked("2.3.b", "If yes, specify crawler name(s)/identifier(s)"),
            Asked("2.3.c", "Purposes of the crawler(s)"),
            Asked("2.3.d", "General description of crawler behaviour"),
            Asked("2.3.e", "Period of data collection"),
            Asked("2.3.f", "Comprehensive description of the type of content and online sources crawled"),
            Asked("2.3.g", _MODALITY),
            Asked("2.3.h", "Summary of the most relevant domain names crawled"),
            Asked("2.3.i", _COMMENTS, optional=True),
        )),
        Part("2.4", "User data", 2, (
            Asked(
                "2.4.a",
                "Was data from user interactions with the AI model (e.g. user input and prompts) used to train the model?",
            ),
            Asked(
                "2.4.b",
                "Was data collected from user interactions with the provider's other services or products used to train the "
                "model?",
            ),
            Asked(
                "2.4.c",
                "If yes, provide a general description of the provider's services or products that were used to collect the "
                "user data",
            ),
            Asked("2.4.d", _MODALITY),
            Asked("2.4.e", _COMMENTS, optional=True),
        )),
        Part("2.5", "Synthetic data", 2, (
            Asked("2.5.a", "Was synthetic AI-generated data created by the provider or on their behalf to train the model?"),
            Asked("2.5.b", "If yes, modality of the synthetic data"),
            Asked(
                "2.5.c",
                "If yes, specify the general-purpose AI model(s) used to generate the synthetic data if available on the market",
            ),
            Asked(
                "2.5.d",
                "Information about other AI models, including provider's own AI model(s) not available on the market, used to "
                "generate synthetic data to train the model to which this Summary applies",
            ),
            Asked("2.5.e", _COMMENTS, optional=True),
        )),
        Part("2.6", "Other sources of data", 2, (
            Asked("2.6.a", "Have data sources other than those described in Sections 2.1 to 2.5 been used to train the model?"),
            Asked("2.6.b", "If yes, provide a narrative description of these data sources and the data"),
            Asked("2.6.c", _COMMENTS, optional=True),
        )),
        Part("3", "Data processing aspects", 1),
        Part("3.1", "Respect of reservation of rights from text and data mining exception or limitation", 2, (
            Asked(
                "3.1.a",
                "Are you a Signatory to the Code of Practice for general-purpose AI models that includes commitments to respect "
                "reservations of rights from the TDM exception or limitation?",
            ),
            Asked(
                "3.1.b",
                "Describe the measures implemented before model training to respect reservations of rights from the TDM "
                "exception or limitation before and during data collection, including the opt-out protocols and solutions "
                "honoured by the provider or, as applicable, by third parties from which datasets have been obtained",
            ),
            Asked("3.1.c", _COMMENTS, optional=True),
        )),
        Part("3.2", "Removal of illegal content", 2, (Asked("3.2.a", "General description of measures taken"),)),
        Part("3.3", "Other information (optional)", 2, (
            Asked("3.3.a", "Other relevant information about data processing (optional)", optional=True),
        )),
    ),
)  # fmt: skip


def fill(sheet: Sheet, facts: Facts, earlier: Sequence[Earlier]) -> None:
    """Fill the form in from the facts."""
    routes = routes_of(facts)
    openings = Openings(sheet, facts, routes)
    general.fill(sheet, facts, earlier)
    openings.ask()
    datasets.fill(sheet, facts, routes, openings)
    collection.fill(sheet, facts, routes, openings)
    synthetic.fill(sheet, facts, routes, openings)
    processing.fill(sheet, facts)
