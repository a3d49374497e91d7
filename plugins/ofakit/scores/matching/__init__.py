"""What METEOR matches words by: its normalization, stems, synonyms, paraphrases, and the search for an alignment."""
