"""How a person is asked: forms, a page, and the words on them."""
