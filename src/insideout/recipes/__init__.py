"""The life of the models: a stage a file, each made once and found again."""
