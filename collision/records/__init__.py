"""From rows of annotation files to ``VideoRecord``s, and which of them belong to which split."""
