"""Who is it that asks, and for how long is he welcome?"""
