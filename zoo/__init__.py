"""Published MR models, assembled from `mrlayers`, and what it takes to train them."""
