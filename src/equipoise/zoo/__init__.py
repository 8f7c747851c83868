"""Recipes, planting, training and the shipped models."""
