"""gradus' order of rows in an epoch."""


def pcg(counter):
    state = (counter * 747796405 + 2891336453) & 0xFFFFFFFF
    word = (((state >> ((state >> 28) + 4)) ^ state) * 277803737) & 0xFFFFFFFF
    return (word >> 22) ^ word


def shuffled(place, count, key):
    """gradus' order: a bijection of the places below count."""
    half = 1
    while half < 16 and (1 << (2 * half)) < count:
        half += 1
    mask = (1 << half) - 1
    while True:
        left, right = place >> half, place & mask
        for turn in range(4):
            mixed = pcg(right ^ pcg((key + turn * 0x9E3779B9) & 0xFFFFFFFF)) & mask
            left, right = right, left ^ mixed
        place = (left << half) | right
        if place < count:
            return place


def order(count, seed, epoch):
    key = pcg(seed ^ pcg(epoch))
    return [shuffled(place, count, key) for place in range(count)]
