"""What stands on an encoder and turns its states into what is compared: vectors, or matrices of token vectors."""
