"""What a model costs, from a maintained table that ships with its package. Unknown is unknown, never zero."""

__all__ = ["price"]

from forethought_patterns import Usage


def price(model: str, base_url: str | None, usage: Usage) -> float | None:
    """Dollars for so much usage, or none where the table does not know this model at this endpoint."""
    import genai_prices  # here, because it takes a while and few runs need it at once

    spent = genai_prices.Usage(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)
    try:
        if base_url is None:
            return float(genai_prices.calc_price(spent, model, provider_id="openai").total_price)
        return float(genai_prices.calc_price(spent, model, provider_api_url=base_url).total_price)
    except (LookupError, ValueError):
        return None
