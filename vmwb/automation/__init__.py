"""The script API: machines driven from Python by what they show and say."""
