"""Learned relations: behaviour data in, fitted maps out, judged on what was held out."""
