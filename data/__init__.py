"""Audio in and out, the one mel front-end, datasets, training segments and the corpus renderer."""
