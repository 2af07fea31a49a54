"""The words of simulated answers: invented companies, sentences and sources, some not in ASCII.

Hosts end in ``.example`` so that no link leads anywhere. Placeholders: brand, rival, topic, number,
percent, price, year.
"""

from typing import Final

BRANDS: Final = (
    "Nordlys",
    "Café Zürich",
    "Almstätte",
    "Luminé",
    "Brezza",
    "Fjällspår",
    "Kōyō",
    "東風堂",
    "Señal",
    "Ostrava & Co",
)
"""Stand in where a prompt names nobody."""

OPENINGS: Final = (
    'The short answer on "{topic}": it depends on your needs, but a few names come up again.',
    'Here is what matters for "{topic}", and how the main options compare.',
    'On "{topic}" most recent tests agree on the essentials and differ in the details.',
    'There is no single winner for "{topic}"; the picture below follows current reviews.',
)

SEARCHING: Final = (
    'I\'ll search for current information about "{topic}".',
    "Let me look for recent reviews and prices before I answer.",
    "Let me check one more source to be sure.",
)

HEADINGS: Final = (
    "At a glance",
    "What buyers say",
    "Price and value",
    "Strengths and weaknesses",
    "Alternatives",
    "Who it suits",
)

CLAIMS: Final = (
    "**{brand}** is named most often and scores {percent} % in customer surveys of {year}",
    "{brand} costs about {price} €, which is less than {rival} at the same size",
    "reviewers praise {brand} for its service and criticise the delivery time of {number} days",
    "{rival} has caught up since {year} and is now sold in {number} countries",
    "in a comparison of {number} products, {brand} came first and {rival} second",
    "the guarantee of {brand} runs {number} months, naïve comparisons often leave that out",
    "{percent} % of those asked would buy from {rival} again",
    "since the update of {year} {brand} also works offline, which {rival} does not",
    "testers in Köln and 東京 reached the same result 🏆: {brand} ahead of {rival}",
    "the cheapest offer found was {price} €, at a market in São Paulo",
)

FILLERS: Final = (
    "Much of this changes quickly, so check the date of any test you read. ",
    "If budget is the first concern, start with the smaller model and see how far it goes. ",
    "For families and small companies the choice is usually simpler than it looks. ",
    "Independent laboratories measure differently, which explains part of the spread. ",
    "Local dealers sometimes grant a discount that no comparison site shows. ",
)

CLOSINGS: Final = (
    "In short: {brand} is the safe choice, {rival} the one to watch. ✅",
    "If you tell me your budget and country, I can narrow this down further.",
    "Both {brand} and {rival} are good; try them before you decide.",
)

THOUGHTS: Final = (
    "**Reading the question**\n\nThe user asks about {topic}. I should compare a few names.",
    "**Weighing {brand} against {rival}**\n\nPrice speaks for one, service for the other.",
    "**Checking what is current**\n\nNumbers from {year} may be out of date, so I will hedge.",
)

SOURCES: Final = (
    ("Test & Vergleich {year} ❤️ Top {number}", "www.vergleich-heute.example", "test"),
    ("{brand} review: is it worth the price?", "reviews.consumer-post.example", "review"),
    ("Guide d'achat {year}: {brand} ou {rival}?", "guide.achat-malin.example", "guide"),
    ("{brand} vs {rival} | Market report", "market-insight.example", "report"),
    ("比較ランキング {year}", "hikaku.example", "ranking"),
    ("Forum: experiences with {brand}", "forum.household.example", "thread"),
)
"""Title, host and first part of the path."""

QUERIES: Final = (
    "{topic} comparison {year}",
    "{brand} reviews",
    "{brand} vs {rival}",
    "best alternatives to {brand}",
    "{topic} prix et avis",
)
