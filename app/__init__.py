"""A small key-value service over PostgreSQL: the application that the lab runs."""

__version__ = "0.1.0"
