"""Migrations, in the order of their numbers. A file that was released is never edited again."""
