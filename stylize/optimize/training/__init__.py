"""The training of the baseline's autoencoder; needs a checkout, the installed package goes without."""
