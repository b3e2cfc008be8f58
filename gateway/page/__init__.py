"""The board's page: plain files, served as they are."""
