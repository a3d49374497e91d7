"""The Penn Treebank tokenizer that caption scores are defined on, equal to Stanford's Java one on captions."""
