/* The loops of the built-in picture encoder over pixels, in C: a picture of 128 x 128 pixels took NumPy five times as
 * long to describe as a small JPEG takes to be decoded.
 *
 * What is computed, and why, is told where it is called: color.py, shape.py, texture.py and foreground.py; what is
 * taken and given, in kernel.pyi.
 */
#include "../index/arrays.h"

#include <math.h>

#define SQUARED(x) ((x) * (x))

static inline float within(float value, float low, float high) {
    return value < low ? low : value > high ? high : value;
}

/* ---- Colour ---- */

static PyObject *lab(PyObject *self, PyObject *args) {
    static const argument asked[] = {
        {"rgb", "B", 2, 0, 0},     {"linear", FLOAT, 1, 0, 0}, {"matrix", FLOAT, 2, 0, 0},
        {"roots", FLOAT, 1, 0, 0}, {"found", FLOAT, 2, 1, 0},
    };
    enum { RGB, LINEAR, MATRIX, ROOTS, FOUND, COUNT };
    Py_buffer views[COUNT];
    (void)self;
    if (take(args, asked, COUNT, views, NULL, 0)) return NULL;
    const Py_ssize_t count = views[RGB].shape[0], roots = views[ROOTS].shape[0];
    if (views[RGB].shape[1] != 3 || views[LINEAR].shape[0] != 256 || views[MATRIX].shape[0] != 3 ||
        views[MATRIX].shape[1] != 3 || roots < 1 || views[FOUND].shape[0] != count || views[FOUND].shape[1] != 3)
        return refused(views, COUNT, PyExc_ValueError, "shapes of rgb, tables and found do not fit");
    const uint8_t *pixel = views[RGB].buf;
    const float *linear = views[LINEAR].buf, *matrix = views[MATRIX].buf, *root = views[ROOTS].buf;
    float *out = views[FOUND].buf;
    for (Py_ssize_t at = 0; at < count; at++, pixel += 3, out += 3) {
        const float red = linear[pixel[0]], green = linear[pixel[1]], blue = linear[pixel[2]];
        float f[3];
        for (int axis = 0; axis < 3; axis++) {
            const float place = red * matrix[axis] + green * matrix[3 + axis] + blue * matrix[6 + axis] + 0.5f;
            f[axis] = root[(Py_ssize_t)within(place, 0, (float)(roots - 1))];
        }
        out[0] = 116 * f[1] - 16;
        out[1] = 500 * (f[0] - f[1]);
        out[2] = 200 * (f[1] - f[2]);
    }
    give_back(views, COUNT);
    Py_RETURN_NONE;
}

/* Lower of the two nearest bins, and the share of the upper one. */
static inline int bin_of(float value, float low, float per_unit, int bins, float *upper) {
    const float position = within((value - low) * per_unit - 0.5f, 0, (float)(bins - 1));
    int lower = (int)position;
    if (lower > bins - 2) lower = bins - 2;
    *upper = position - (float)lower;
    return lower;
}

static PyObject *soft_histogram(PyObject *self, PyObject *args) {
    static const argument asked[] = {
        {"lab", FLOAT, 2, 0, 0},      {"weight", FLOAT, 1, 0, 0},     {"lows", FLOAT, 1, 0, 0},
        {"per_unit", FLOAT, 1, 0, 0}, {"histogram", DOUBLE, 3, 1, 0},
    };
    enum { LAB, WEIGHT, LOWS, PER_UNIT, HISTOGRAM, COUNT };
    Py_buffer views[COUNT];
    (void)self;
    if (take(args, asked, COUNT, views, NULL, 0)) return NULL;
    const Py_ssize_t count = views[LAB].shape[0], bins = views[HISTOGRAM].shape[0];
    if (views[LAB].shape[1] != 3 || views[WEIGHT].shape[0] != count || views[LOWS].shape[0] != 3 ||
        views[PER_UNIT].shape[0] != 3 || bins < 2 || bins > 256 || views[HISTOGRAM].shape[1] != bins ||
        views[HISTOGRAM].shape[2] != bins)
        return refused(views, COUNT, PyExc_ValueError, "shapes of lab, weight, axes and histogram do not fit");
    const float *pixel = views[LAB].buf, *weight = views[WEIGHT].buf, *lows = views[LOWS].buf,
                *per_unit = views[PER_UNIT].buf;
    double *histogram = views[HISTOGRAM].buf;
    memset(histogram, 0, bins * bins * bins * sizeof *histogram);
    for (Py_ssize_t at = 0; at < count; at++, pixel += 3) {
        float upper[3];
        int lower[3];
        for (int axis = 0; axis < 3; axis++) {
            const float value = pixel[axis] == pixel[axis] ? pixel[axis] : lows[axis];
            lower[axis] = bin_of(value, lows[axis], per_unit[axis], (int)bins, &upper[axis]);
        }
        double *bin = histogram + (lower[0] * bins + lower[1]) * bins + lower[2];
        for (int one = 0; one < 2; one++)
            for (int two = 0; two < 2; two++) {
                const float share = weight[at] * (one ? upper[0] : 1 - upper[0]) * (two ? upper[1] : 1 - upper[1]);
                const float above = share * upper[2];
                double *lowest = bin + (one * bins + two) * bins;
                lowest[0] += share - above;
                lowest[1] += above;
            }
    }
    give_back(views, COUNT);
    Py_RETURN_NONE;
}

/* ---- Shape ---- */

enum { MOST_DIRECTIONS = 64, MOST_CELLS = 64, MOST_COLUMNS = 4096 };

#define PI 3.14159265358979323846f

/* The angle of a point, -pi to pi. A polynomial of atan(x)/x in x*x on 0..1, fitted at Chebyshev's points, right to
 * 1e-7; many are computed at once, which the library's own function does not allow. */
static inline float angle(float down, float across) {
    const float left = fabsf(across), up = fabsf(down), larger = left > up ? left : up, smaller = left > up ? up : left;
    const float slope = smaller / (larger + 1e-30f), square = slope * slope;
    float found = -0.004668773f;
    found = found * square + 0.024166190f;
    found = found * square - 0.059367101f;
    found = found * square + 0.099060969f;
    found = found * square - 0.140165850f;
    found = found * square + 0.199692354f;
    found = found * square - 0.333319597f;
    found = (found * square + 0.999999898f) * slope;
    found = up > left ? PI / 2 - found : found;
    found = across < 0 ? PI - found : found;
    return down < 0 ? -found : found;
}

/* Of one row inside of a picture: how steep lightness is, and in which direction, in steps around the circle. */
WIDEST static void gradients_of_row(const float *own, Py_ssize_t side, float per_radian, float directions,
                                    float *restrict magnitude, float *restrict position, int inside) {
    for (Py_ssize_t column = 1; column < side - 1; column++) {
        const float across = own[column + 1] - own[column - 1];
        const float down = inside ? own[column + side] - own[column - side] : 0;
        magnitude[column] = sqrtf(across * across + down * down);
        position[column] = angle(down, across) * per_radian + directions;
    }
    for (Py_ssize_t column = 0; column < side; column += side > 1 ? side - 1 : 1) { /* the two at the rim */
        const float down = inside ? own[column + side] - own[column - side] : 0;
        magnitude[column] = fabsf(down);
        position[column] = angle(down, 0) * per_radian + directions;
    }
}

static PyObject *oriented(PyObject *self, PyObject *args) {
    static const argument asked[] = {
        {"lightness", FLOAT, 2, 0, 0},
        {"window", FLOAT, 2, 0, 0},
        {"pooled", FLOAT, 3, 1, 0},
    };
    enum { LIGHTNESS, WINDOW, POOLED, COUNT };
    Py_buffer views[COUNT];
    (void)self;
    if (take(args, asked, COUNT, views, NULL, 0)) return NULL;
    const Py_ssize_t side = views[LIGHTNESS].shape[0], cells = views[WINDOW].shape[0];
    const Py_ssize_t directions = views[POOLED].shape[0];
    if (views[LIGHTNESS].shape[1] != side || views[WINDOW].shape[1] != side || views[POOLED].shape[1] != cells ||
        views[POOLED].shape[2] != cells || directions < 1 || directions > MOST_DIRECTIONS || cells > MOST_CELLS ||
        side > MOST_COLUMNS)
        return refused(views, COUNT, PyExc_ValueError, "shapes of lightness, window and pooled do not fit");
    const float *lightness = views[LIGHTNESS].buf, *window = views[WINDOW].buf;
    const float per_radian = (float)directions / (2 * PI);
    float *pooled = views[POOLED].buf;
    memset(pooled, 0, directions * cells * cells * sizeof *pooled);
    for (Py_ssize_t row = 0; row < side; row++) {
        float along[MOST_DIRECTIONS][MOST_CELLS] = {{0}}; /* of this row: by direction and column of cells */
        float magnitude[MOST_COLUMNS], position[MOST_COLUMNS];
        gradients_of_row(lightness + row * side, side, per_radian, (float)directions, magnitude, position,
                         row > 0 && row < side - 1);
        for (Py_ssize_t column = 0; column < side; column++) {
            if (!(magnitude[column] > 0) || !isfinite(magnitude[column])) continue;
            const int floored = (int)position[column];
            const float upper = (position[column] - (float)floored) * magnitude[column];
            float *lower_bins = along[floored % directions], *upper_bins = along[(floored + 1) % directions];
            for (Py_ssize_t cell = 0; cell < cells; cell++) {
                const float share = window[cell * side + column];
                if (share == 0) continue;
                lower_bins[cell] += (magnitude[column] - upper) * share;
                upper_bins[cell] += upper * share;
            }
        }
        for (Py_ssize_t cell = 0; cell < cells; cell++) {
            const float share = window[cell * side + row];
            if (share == 0) continue;
            for (Py_ssize_t direction = 0; direction < directions; direction++) {
                float *out = pooled + (direction * cells + cell) * cells;
                for (Py_ssize_t other = 0; other < cells; other++) out[other] += share * along[direction][other];
            }
        }
    }
    give_back(views, COUNT);
    Py_RETURN_NONE;
}

static PyObject *halved(PyObject *self, PyObject *args) {
    static const argument asked[] = {{"values", FLOAT, 2, 0, 0}, {"found", FLOAT, 2, 1, 0}};
    Py_buffer views[2];
    (void)self;
    if (take(args, asked, 2, views, NULL, 0)) return NULL;
    const Py_ssize_t rows = views[1].shape[0], columns = views[1].shape[1], width = views[0].shape[1];
    if (views[0].shape[0] / 2 != rows || width / 2 != columns)
        return refused(views, 2, PyExc_ValueError, "found must have half as many rows and columns");
    const float *values = views[0].buf;
    float *out = views[1].buf;
    for (Py_ssize_t row = 0; row < rows; row++) {
        const float *one = values + 2 * row * width, *other = one + width;
        for (Py_ssize_t at = 0; at < columns; at++)
            out[row * columns + at] = (one[2 * at] + other[2 * at] + one[2 * at + 1] + other[2 * at + 1]) * 0.25f;
    }
    give_back(views, 2);
    Py_RETURN_NONE;
}

/* ---- Texture ---- */

enum { AROUND = 8 };

/* Row and column steps to the neighbours: from the right, counter-clockwise; the second half lies opposite. */
static const int steps_down[AROUND] = {0, -1, -1, -1, 0, 1, 1, 1}, steps_across[AROUND] = {1, 1, 0, -1, -1, -1, 0, 1};

WIDEST static void patterns_of_row(const float *centre, Py_ssize_t width, Py_ssize_t columns, Py_ssize_t radius,
                                   float least, const float *weight, uint8_t *restrict pattern,
                                   float *restrict counted) {
    const float *around[AROUND];
    for (int at = 0; at < AROUND; at++) around[at] = centre + (steps_down[at] * width + steps_across[at]) * radius;
    for (Py_ssize_t column = 0; column < columns; column++) {
        const float threshold = centre[column] + least;
        unsigned bits = 0;
        for (int at = 0; at < AROUND; at++) bits |= (unsigned)(around[at][column] >= threshold) << at;
        pattern[column] = (uint8_t)bits;
    }
    for (Py_ssize_t column = 0; column < columns; column++) {
        float contrast = 0;
        for (int at = 0; at < AROUND / 2; at++) contrast += fabsf(around[at][column] - around[at + AROUND / 2][column]);
        counted[column] = (weight[column] + 1e-6f) * sqrtf(contrast * 0.25f + 1e-6f);
    }
}

static PyObject *patterns(PyObject *self, PyObject *args) {
    static const argument asked[] = {
        {"lightness", FLOAT, 2, 0, 0},
        {"weight", FLOAT, 2, 0, 0},
        {"labels", "B", 1, 0, 0},
        {"counts", DOUBLE, 1, 1, 0},
    };
    enum { LIGHTNESS, WEIGHT, LABELS, COUNTS, COUNT };
    enum { RADIUS, LEAST, TOLD };
    Py_buffer views[COUNT];
    number told[TOLD];
    (void)self;
    if (take(args, asked, COUNT, views, told, TOLD)) return NULL;
    const Py_ssize_t radius = told[RADIUS].whole;
    const float least = (float)told[LEAST].real;
    const Py_ssize_t rows = views[LIGHTNESS].shape[0], columns = views[LIGHTNESS].shape[1];
    const uint8_t *labels = views[LABELS].buf;
    int fits = views[WEIGHT].shape[0] == rows && views[WEIGHT].shape[1] == columns && views[LABELS].shape[0] == 256 &&
               radius > 0 && radius < MOST_COLUMNS && columns <= MOST_COLUMNS;
    for (int at = 0; fits && at < 256; at++) fits = labels[at] < views[COUNTS].shape[0];
    if (!fits)
        return refused(views, COUNT, PyExc_ValueError, "shapes of lightness, weight, labels and counts do not fit");
    const float *lightness = views[LIGHTNESS].buf, *weight = views[WEIGHT].buf;
    double *counts = views[COUNTS].buf;
    memset(counts, 0, views[COUNTS].shape[0] * sizeof *counts);
    for (Py_ssize_t row = radius; row < rows - radius && columns > 2 * radius; row++) {
        uint8_t pattern[MOST_COLUMNS];
        float counted[MOST_COLUMNS];
        const Py_ssize_t first = row * columns + radius, inner = columns - 2 * radius;
        patterns_of_row(lightness + first, columns, inner, radius, least, weight + first, pattern, counted);
        for (Py_ssize_t at = 0; at < inner; at++) counts[labels[pattern[at]]] += counted[at];
    }
    give_back(views, COUNT);
    Py_RETURN_NONE;
}

/* ---- Foreground and flat pictures ---- */

static PyObject *flat(PyObject *self, PyObject *args) {
    static const argument asked[] = {{"rgb", "B", 3, 0, 0}};
    Py_buffer view;
    number range;
    (void)self;
    if (take(args, asked, 1, &view, &range, 1)) return NULL;
    if (view.shape[2] != 3) return refused(&view, 1, PyExc_ValueError, "rgb must have three channels");
    const uint8_t *pixel = view.buf, *end = pixel + view.shape[0] * view.shape[1] * 3;
    int low[3] = {255, 255, 255}, high[3] = {0, 0, 0}, spread = 0;
    for (; pixel < end && !spread; pixel += 3)
        for (int channel = 0; channel < 3; channel++) {
            if (pixel[channel] < low[channel]) low[channel] = pixel[channel];
            if (pixel[channel] > high[channel]) high[channel] = pixel[channel];
            spread |= high[channel] - low[channel] > range.whole;
        }
    give_back(&view, 1);
    return PyBool_FromLong(!spread);
}

/* The value that so many of a histogram lie below or at. */
static int value_at(const Py_ssize_t *histogram, Py_ssize_t place) {
    int value = 0;
    for (Py_ssize_t seen = histogram[0]; seen <= place && value < 255;) seen += histogram[++value];
    return value;
}

static PyObject *surroundings(PyObject *self, PyObject *args) {
    static const argument asked[] = {{"rgb", "B", 3, 0, 0}, {"mask", FLOAT, 2, 0, 0}};
    Py_buffer views[2];
    (void)self;
    if (take(args, asked, 2, views, NULL, 0)) return NULL;
    const Py_ssize_t count = views[1].shape[0] * views[1].shape[1];
    if (views[0].shape[0] != views[1].shape[0] || views[0].shape[1] != views[1].shape[1] || views[0].shape[2] != 3)
        return refused(views, 2, PyExc_ValueError, "shapes of rgb and mask do not fit");
    const uint8_t *rgb = views[0].buf;
    const float *mask = views[1].buf;
    Py_ssize_t histograms[3][256] = {{0}}, outside = 0;
    for (Py_ssize_t at = 0; at < count; at++)
        if (!(mask[at] > 0.5f)) {
            outside++;
            for (int channel = 0; channel < 3; channel++) histograms[channel][rgb[3 * at + channel]]++;
        }
    int median[3] = {255, 255, 255};
    for (int channel = 0; outside && channel < 3; channel++)
        median[channel] =
            (value_at(histograms[channel], (outside - 1) / 2) + value_at(histograms[channel], outside / 2)) / 2;
    give_back(views, 2);
    return Py_BuildValue("(iii)", median[0], median[1], median[2]);
}

static PyObject *apart(PyObject *self, PyObject *args) {
    static const argument asked[] = {{"lab", FLOAT, 3, 0, 0}, {"plane", FLOAT, 2, 0, 0}, {"found", FLOAT, 2, 1, 0}};
    enum { LAB, PLANE, FOUND, COUNT };
    Py_buffer views[COUNT];
    (void)self;
    if (take(args, asked, COUNT, views, NULL, 0)) return NULL;
    const Py_ssize_t rows = views[LAB].shape[0], columns = views[LAB].shape[1];
    if (views[LAB].shape[2] != 3 || views[PLANE].shape[0] != 3 || views[PLANE].shape[1] != 3 ||
        views[FOUND].shape[0] != rows || views[FOUND].shape[1] != columns || rows < 2 || columns < 2)
        return refused(views, COUNT, PyExc_ValueError, "shapes of lab, plane and found do not fit");
    const float *pixel = views[LAB].buf, *plane = views[PLANE].buf;
    float *out = views[FOUND].buf;
    for (Py_ssize_t row = 0; row < rows; row++) {
        const float down = 2 * (float)row / (float)(rows - 1) - 1;
        for (Py_ssize_t column = 0; column < columns; column++, pixel += 3) {
            const float across = 2 * (float)column / (float)(columns - 1) - 1;
            float sum = 0;
            for (int axis = 0; axis < 3; axis++)
                sum += SQUARED(pixel[axis] - (plane[axis] + across * plane[3 + axis] + down * plane[6 + axis]));
            *out++ = sqrtf(sum);
        }
    }
    give_back(views, COUNT);
    Py_RETURN_NONE;
}

static PyObject *despeckled(PyObject *self, PyObject *args) {
    static const argument asked[] = {{"difference", FLOAT, 2, 0, 0}, {"found", FLOAT, 2, 1, 0}};
    Py_buffer views[2];
    number told;
    (void)self;
    if (take(args, asked, 2, views, &told, 1)) return NULL;
    const Py_ssize_t rows = views[0].shape[0], columns = views[0].shape[1];
    if (views[1].shape[0] != rows || views[1].shape[1] != columns)
        return refused(views, 2, PyExc_ValueError, "shapes of difference and found do not fit");
    float *mask = malloc((rows * columns + 1) * sizeof *mask);
    if (!mask) return refused(views, 2, PyExc_MemoryError, "");
    const float *difference = views[0].buf, near = (float)told.real, per = 1 / (0.5f * near + 2);
    float *out = views[1].buf;
    for (Py_ssize_t at = 0; at < rows * columns; at++) mask[at] = within((difference[at] - near) * per, 0, 1);
    for (Py_ssize_t row = 0; row < rows; row++) {
        const float *own = mask + row * columns;
        const float *above = row ? own - columns : own, *below = row < rows - 1 ? own + columns : own;
        for (Py_ssize_t column = 0; column < columns; column++) {
            const Py_ssize_t left = column ? column - 1 : column, right = column < columns - 1 ? column + 1 : column;
            const float sum = (above[left] + own[left] + below[left]) + (above[column] + own[column] + below[column]) +
                              (above[right] + own[right] + below[right]);
            *out++ = within(2 * (sum / 9) - 0.5f, 0, 1);
        }
    }
    free(mask);
    give_back(views, 2);
    Py_RETURN_NONE;
}

static PyObject *filled(PyObject *self, PyObject *args) {
    static const argument asked[] = {
        {"mask", FLOAT, 2, 0, 0},
        {"columns", INT64, 1, 1, 0},
        {"rows", INT64, 1, 1, 0},
        {"found", "B", 2, 1, 0},
    };
    enum { MASK, COLUMNS, ROWS, FOUND, COUNT };
    Py_buffer views[COUNT];
    number doubt;
    (void)self;
    if (take(args, asked, COUNT, views, &doubt, 1)) return NULL;
    const Py_ssize_t rows = views[MASK].shape[0], columns = views[MASK].shape[1];
    if (views[COLUMNS].shape[0] != columns || views[ROWS].shape[0] != rows || views[FOUND].shape[0] != rows ||
        views[FOUND].shape[1] != columns)
        return refused(views, COUNT, PyExc_ValueError, "shapes of mask, columns, rows and found do not fit");
    /* First and last row with something solid in each column, to tell what is enclosed. */
    Py_ssize_t *top = malloc((2 * columns + 1) * sizeof *top);
    if (!top) return refused(views, COUNT, PyExc_MemoryError, "");
    Py_ssize_t *bottom = top + columns;
    const float *mask = views[MASK].buf, least = (float)doubt.real;
    int64_t *in_column = views[COLUMNS].buf, *in_row = views[ROWS].buf;
    uint8_t *out = views[FOUND].buf;
    memset(in_column, 0, columns * sizeof *in_column);
    memset(in_row, 0, rows * sizeof *in_row);
    for (Py_ssize_t row = 0; row < rows; row++)
        for (Py_ssize_t column = 0; column < columns; column++)
            if (mask[row * columns + column] > 0.5f) {
                if (!in_column[column]++) top[column] = row;
                bottom[column] = row;
                in_row[row]++;
            }
    for (Py_ssize_t row = 0; row < rows; row++) {
        const float *own = mask + row * columns;
        Py_ssize_t left = columns, right = -1;
        for (Py_ssize_t column = 0; in_row[row] && column < columns; column++)
            if (own[column] > 0.5f) {
                if (left == columns) left = column;
                right = column;
            }
        for (Py_ssize_t column = 0; column < columns; column++) {
            const int enclosed =
                column >= left && column <= right && in_column[column] && row >= top[column] && row <= bottom[column];
            const float value = enclosed ? 1 : own[column] > least ? own[column] : least;
            *out++ = (uint8_t)(within(value, 0, 1) * 255);
        }
    }
    free(top);
    give_back(views, COUNT);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"lab", lab, METH_VARARGS, "CIE LAB of pixels, by table; see kernel.pyi."},
    {"soft_histogram", soft_histogram, METH_VARARGS, "How much of each colour; see kernel.pyi."},
    {"oriented", oriented, METH_VARARGS, "Gradients by cell and direction; see kernel.pyi."},
    {"halved", halved, METH_VARARGS, "Means of 2 x 2 blocks; see kernel.pyi."},
    {"patterns", patterns, METH_VARARGS, "Local patterns, counted by contrast; see kernel.pyi."},
    {"flat", flat, METH_VARARGS, "Whether a picture is of one colour; see kernel.pyi."},
    {"surroundings", surroundings, METH_VARARGS, "The usual colour outside of a mask; see kernel.pyi."},
    {"apart", apart, METH_VARARGS, "How far pixels are from a background; see kernel.pyi."},
    {"despeckled", despeckled, METH_VARARGS, "What is not background; see kernel.pyi."},
    {"filled", filled, METH_VARARGS, "A mask with its holes filled; see kernel.pyi."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "kernel", NULL, 0, functions, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_kernel(void) { return PyModule_Create(&module); }
