"""The same program written plainly: what one gets from aiohttp's documentation in an afternoon."""
