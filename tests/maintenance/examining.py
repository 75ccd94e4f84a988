"""What the doctor finds in a folder."""

from oet_kernel.maintenance.doctor import Doctor


def problems(folder, *, fix=False):
    return [one for one in Doctor(folder, fix=fix).examine() if one.problem]


def found(folder, about, *, fix=False):
    return [one for one in Doctor(folder, fix=fix).examine() if one.about == about]
