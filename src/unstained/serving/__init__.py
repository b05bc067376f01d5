"""Answering for a promoted artifact; imports neither torch nor what else only training needs."""
