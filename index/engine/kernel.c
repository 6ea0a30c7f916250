/* The innermost loops of a question, in C: what NumPy needs a dozen calls for, each with a cost of its own.
 *
 * Which cells are nearest, and which rows in them: see index/engine/search.py, whose terms these are; which answers
 * may be near-duplicates: index/answering/duplicates.py. What is taken and given is told in kernel.pyi. Sums are taken
 * in a fixed order, so that the same row always scores the same.
 */
#include "../arrays.h"

#include <math.h>

#define INLINE static inline __attribute__((always_inline))

typedef float lanes __attribute__((vector_size(32)));

enum {
    LANES = 8,
    FEW = 64,
    LINE = 64,     /* bytes that memory is fetched by */
    LONG = 1 << 19 /* numbers to be read from which on other threads of the interpreter may run meanwhile */
};

typedef struct {
    float score;
    int64_t at;
} scored;

INLINE lanes load(const float *from) {
    lanes found;
    memcpy(&found, from, sizeof found);
    return found;
}

INLINE float total(lanes of) { return ((of[0] + of[4]) + (of[1] + of[5])) + ((of[2] + of[6]) + (of[3] + of[7])); }

INLINE float dot(const float *left, const float *right, Py_ssize_t dim) {
    lanes one = {0}, two = {0};
    Py_ssize_t at = 0;
    for (; at + 2 * LANES <= dim; at += 2 * LANES) {
        one += load(left + at) * load(right + at);
        two += load(left + at + LANES) * load(right + at + LANES);
    }
    float sum = total(one + two);
    for (; at < dim; at++) sum += left[at] * right[at];
    return sum;
}

/* Whole numbers, whose product compilers make of 16 at a time. */
INLINE int32_t product(const int16_t *left, const int8_t *right, Py_ssize_t dim) {
    int32_t sum = 0;
    for (Py_ssize_t at = 0; at < dim; at++) sum += (int32_t)left[at] * (int32_t)right[at];
    return sum;
}

/* A point in 16-bit numbers, as large as sums of products with 8-bit ones allow; what one of them is worth. */
static float in_steps(const float *point, Py_ssize_t dim, int16_t *found) {
    float largest = 0;
    for (Py_ssize_t at = 0; at < dim; at++) largest = fmaxf(largest, fabsf(point[at]));
    const float most = fminf(INT16_MAX, (float)(INT32_MAX / 2) / (-INT8_MIN * fmaxf(dim, 1)));
    const float unit = largest > 0 ? largest / most : 1;
    for (Py_ssize_t at = 0; at < dim; at++) found[at] = (int16_t)lrintf(point[at] / unit);
    return unit;
}

/* Higher scores first, and of equal ones the earlier. */
INLINE int before(scored left, scored right) {
    return left.score > right.score || (left.score == right.score && left.at < right.at);
}

static int by_score(const void *left, const void *right) {
    const scored *one = left, *other = right;
    return before(*one, *other) ? -1 : before(*other, *one);
}

static int by_place(const void *left, const void *right) {
    const int64_t one = ((const scored *)left)->at, other = ((const scored *)right)->at;
    return (one > other) - (one < other);
}

/* Bring the best of some to the front, in order: hardly any of the others ever comes before the last of a few. */
static void select_few(scored *some, Py_ssize_t count, Py_ssize_t wanted) {
    for (Py_ssize_t at = 1; at < count; at++) {
        const scored one = some[at];
        Py_ssize_t place = at < wanted ? at : wanted;
        if (!before(one, some[place - 1])) continue;
        if (place == wanted) place--;
        for (; place > 0 && before(one, some[place - 1]); place--) some[place] = some[place - 1];
        some[place] = one;
    }
}

/* Bring the best of some to the front, in no order: Hoare's selection (CACM 4(7), 1961). */
static void select_many(scored *some, Py_ssize_t count, Py_ssize_t wanted) {
    Py_ssize_t low = 0, high = count - 1;
    while (low < high) {
        const scored pivot = some[low + (high - low) / 2];
        Py_ssize_t left = low, right = high;
        while (left <= right) {
            while (before(some[left], pivot)) left++;
            while (before(pivot, some[right])) right--;
            if (left <= right) {
                const scored held = some[left];
                some[left++] = some[right];
                some[right--] = held;
            }
        }
        if (wanted - 1 <= right)
            high = right;
        else if (wanted - 1 >= left)
            low = left;
        else
            return;
    }
}

static void select_best(scored *some, Py_ssize_t count, Py_ssize_t wanted) {
    if (wanted < 1 || wanted >= count) return;
    (wanted <= FEW ? select_few : select_many)(some, count, wanted);
}

WIDEST static void score_centres(const int16_t *point, float unit, const int8_t *centres, const float *halves,
                                 Py_ssize_t dim, int64_t start, int64_t stop, scored *found) {
    for (int64_t cell = start; cell < stop; cell++, found++) {
        found->score = unit * product(point, centres + cell * dim, dim) - halves[cell];
        found->at = cell;
    }
}

WIDEST static Py_ssize_t score_places(const int16_t *point, float unit, const int8_t *reduced, Py_ssize_t width,
                                      const float *biases, const char *passing, int64_t start, int64_t stop,
                                      scored *found) {
    scored *next = found;
    for (int64_t place = start; place < stop; place++) {
        if (passing && !passing[place]) continue;
        next->score = unit * product(point, reduced + place * width, width) + (biases ? biases[place] : 0);
        next->at = place;
        next++;
    }
    return next - found;
}

WIDEST static void score_rows(const float *weighted, const float *vectors, Py_ssize_t dim, scored *found,
                              Py_ssize_t count) {
    for (Py_ssize_t at = 0; at < count; at++) {
        if (at + 1 < count) { /* rows lie far apart: the next is fetched early */
            const char *next = (const char *)(vectors + found[at + 1].at * dim);
            for (Py_ssize_t byte = 0; byte < dim * (Py_ssize_t)sizeof *vectors; byte += LINE)
                __builtin_prefetch(next + byte);
        }
        found[at].score = dot(vectors + found[at].at * dim, weighted, dim);
    }
}

static PyObject *nearest(PyObject *self, PyObject *args) {
    static const argument asked[] = {
        {"point", FLOAT, 1, 0, 0},  {"centres", INT8, 2, 0, 0}, {"halves", FLOAT, 1, 0, 0},
        {"ranges", INT64, 2, 0, 0}, {"cells", INT64, 1, 1, 0},
    };
    enum { POINT, CENTRES, HALVES, RANGES, CELLS, COUNT };
    Py_buffer views[COUNT];
    (void)self;
    if (take(args, asked, COUNT, views, NULL, 0)) return NULL;
    const Py_ssize_t cells = views[CENTRES].shape[0], dim = views[CENTRES].shape[1];
    if (views[POINT].shape[0] != dim || views[HALVES].shape[0] != cells || views[RANGES].shape[1] != 2)
        return refused(views, COUNT, PyExc_ValueError, "shapes of point, centres, halves and ranges do not fit");
    const int64_t *ranges = views[RANGES].buf;
    Py_ssize_t total = 0;
    for (Py_ssize_t at = 0; at < views[RANGES].shape[0]; at++) {
        const int64_t start = ranges[2 * at], stop = ranges[2 * at + 1];
        if (start < 0 || stop < start || stop > cells)
            return refused(views, COUNT, PyExc_IndexError, "a range lies outside of the centres");
        total += stop - start;
    }
    scored *found = malloc((total + 1) * sizeof *found + dim * sizeof(int16_t));
    if (!found) return refused(views, COUNT, PyExc_MemoryError, "");
    int16_t *point = (int16_t *)(found + total + 1);
    const float unit = in_steps(views[POINT].buf, dim, point);
    Py_ssize_t wanted = views[CELLS].shape[0], filled = 0;
    for (Py_ssize_t at = 0; at < views[RANGES].shape[0]; at++) {
        const int64_t start = ranges[2 * at], stop = ranges[2 * at + 1];
        score_centres(point, unit, views[CENTRES].buf, views[HALVES].buf, dim, start, stop, found + filled);
        filled += stop - start;
    }
    if (wanted > total) wanted = total;
    select_best(found, total, wanted);
    qsort(found, wanted, sizeof *found, by_place);
    int64_t *out = views[CELLS].buf;
    for (Py_ssize_t at = 0; at < wanted; at++) out[at] = found[at].at;
    free(found);
    give_back(views, COUNT);
    return PyLong_FromSsize_t(wanted);
}

static PyObject *look(PyObject *self, PyObject *args) {
    static const argument asked[] = {
        {"point", FLOAT, 1, 0, 0},    {"weighted", FLOAT, 1, 0, 0}, {"cells", INT64, 1, 0, 0},
        {"starts", INT64, 1, 0, 0},   {"reduced", INT8, 2, 0, 0},   {"biases", FLOAT, 1, 0, 1},
        {"layout", INT32, 1, 0, 0},   {"vectors", FLOAT, 2, 0, 0},  {"passing", BOOL, 1, 0, 1},
        {"excluded", INT64, 1, 0, 0}, {"rows", INT64, 1, 1, 0},     {"scores", FLOAT, 1, 1, 0},
    };
    enum { POINT, WEIGHTED, CELLS, STARTS, REDUCED, BIASES, LAYOUT, VECTORS, PASSING, EXCLUDED, ROWS, SCORES, COUNT };
    Py_buffer views[COUNT];
    number told;
    (void)self;
    if (take(args, asked, COUNT, views, &told, 1)) return NULL;
    const Py_ssize_t candidates = told.whole;
    const Py_ssize_t width = views[REDUCED].shape[1], dim = views[VECTORS].shape[1], count = views[VECTORS].shape[0];
    const Py_ssize_t held = views[STARTS].shape[0] - 1;
    if (views[POINT].shape[0] != width || views[WEIGHTED].shape[0] != dim || views[REDUCED].shape[0] != count ||
        views[LAYOUT].shape[0] != count || candidates < 1 || (views[PASSING].obj && views[PASSING].shape[0] != count) ||
        (views[BIASES].obj && views[BIASES].shape[0] != count) || views[ROWS].shape[0] != views[SCORES].shape[0])
        return refused(views, COUNT, PyExc_ValueError, "shapes of the arrays do not fit each other");
    const int64_t *cells = views[CELLS].buf, *starts = views[STARTS].buf, *excluded = views[EXCLUDED].buf;
    const int32_t *layout = views[LAYOUT].buf;
    Py_ssize_t total = 0;
    for (Py_ssize_t at = 0; at < views[CELLS].shape[0]; at++) {
        const int64_t cell = cells[at];
        if (cell < 0 || cell >= held || starts[cell] < 0 || starts[cell + 1] < starts[cell] || starts[cell + 1] > count)
            return refused(views, COUNT, PyExc_IndexError, "a cell lies outside of the layout");
        total += starts[cell + 1] - starts[cell];
    }
    scored *found = malloc((total + 1) * sizeof *found + width * sizeof(int16_t));
    if (!found) return refused(views, COUNT, PyExc_MemoryError, "");
    int16_t *point = (int16_t *)(found + total + 1);
    const float unit = in_steps(views[POINT].buf, width, point);
    PyThreadState *thread = total * width + candidates * dim > LONG ? PyEval_SaveThread() : NULL;
    Py_ssize_t near = 0;
    for (Py_ssize_t at = 0; at < views[CELLS].shape[0]; at++)
        near += score_places(point, unit, views[REDUCED].buf, width, views[BIASES].buf, views[PASSING].buf,
                             starts[cells[at]], starts[cells[at] + 1], found + near);
    select_best(found, near, candidates);
    if (near > candidates) near = candidates;
    Py_ssize_t kept = 0;
    int damaged = 0;
    for (Py_ssize_t at = 0; at < near; at++) {
        const int64_t row = layout[found[at].at];
        damaged |= row < 0 || row >= count;
        int out = 0;
        for (Py_ssize_t other = 0; other < views[EXCLUDED].shape[0]; other++) out |= excluded[other] == row;
        if (!out) found[kept++].at = row;
    }
    if (!damaged) {
        qsort(found, kept, sizeof *found, by_place); /* memory is read forwards */
        score_rows(views[WEIGHTED].buf, views[VECTORS].buf, dim, found, kept);
        const Py_ssize_t asked_for = views[ROWS].shape[0];
        select_best(found, kept, asked_for);
        if (kept > asked_for) kept = asked_for;
        qsort(found, kept, sizeof *found, by_score);
        int64_t *rows = views[ROWS].buf;
        float *scores = views[SCORES].buf;
        for (Py_ssize_t at = 0; at < kept; at++) {
            rows[at] = found[at].at;
            scores[at] = found[at].score;
        }
    }
    if (thread) PyEval_RestoreThread(thread);
    free(found);
    if (damaged) return refused(views, COUNT, PyExc_IndexError, "the layout names a row that there is not");
    give_back(views, COUNT);
    return PyLong_FromSsize_t(kept);
}

/* Whether each part of two rows has at least its own product with the other's. */
INLINE int alike_in_all(const float *left, const float *right, const int64_t *bounds, const float *least,
                        Py_ssize_t parts) {
    for (Py_ssize_t part = 0; part < parts; part++) {
        const int64_t start = bounds[part];
        if (!(dot(left + start, right + start, bounds[part + 1] - start) >= least[part])) return 0;
    }
    return 1;
}

WIDEST static Py_ssize_t find_alike(const float *rows, Py_ssize_t count, Py_ssize_t dim, const int64_t *bounds,
                                    const float *least, Py_ssize_t parts, Py_ssize_t first, char *found) {
    Py_ssize_t pairs = 0;
    for (Py_ssize_t left = 0; left < count; left++)
        for (Py_ssize_t right = left < first ? first : left + 1; right < count; right++)
            if (alike_in_all(rows + left * dim, rows + right * dim, bounds, least, parts)) {
                found[left * count + right] = 1;
                pairs++;
            }
    return pairs;
}

#define MISFIT "rows, pairs, bounds of parts and what they have to reach do not fit each other"

/* The error to raise where shapes do not fit, or a part lies outside of the rows; otherwise NULL. */
static PyObject *parts_misfit(const Py_buffer *views, int rows, int pairs, int bounds, int least) {
    const Py_ssize_t count = views[rows].shape[0], parts = views[least].shape[0];
    const int64_t *bound = views[bounds].buf;
    if (views[pairs].shape[0] != count || views[pairs].shape[1] != count || views[bounds].shape[0] != parts + 1)
        return PyExc_ValueError;
    for (Py_ssize_t part = 0; part < parts; part++)
        if (bound[part] < 0 || bound[part + 1] < bound[part] || bound[part + 1] > views[rows].shape[1])
            return PyExc_IndexError;
    return NULL;
}

static PyObject *alike(PyObject *self, PyObject *args) {
    static const argument asked[] = {
        {"rows", FLOAT, 2, 0, 0},
        {"bounds", INT64, 1, 0, 0},
        {"least", FLOAT, 1, 0, 0},
        {"found", BOOL, 2, 1, 0},
    };
    enum { OF, BOUNDS, LEAST, FOUND, COUNT };
    Py_buffer views[COUNT];
    number told;
    (void)self;
    if (take(args, asked, COUNT, views, &told, 1)) return NULL;
    const Py_ssize_t count = views[OF].shape[0], dim = views[OF].shape[1], parts = views[LEAST].shape[0];
    const Py_ssize_t first = told.whole;
    PyObject *misfit = first < 0 ? PyExc_ValueError : parts_misfit(views, OF, FOUND, BOUNDS, LEAST);
    if (misfit) return refused(views, COUNT, misfit, MISFIT);
    PyThreadState *thread = count * count / 2 * dim > LONG ? PyEval_SaveThread() : NULL;
    const Py_ssize_t pairs =
        find_alike(views[OF].buf, count, dim, views[BOUNDS].buf, views[LEAST].buf, parts, first, views[FOUND].buf);
    if (thread) PyEval_RestoreThread(thread);
    give_back(views, COUNT);
    return PyLong_FromSsize_t(pairs);
}

/* Numbers in half precision as floats; infinite ones and those that are none become large ones. */
WIDEST static void widen(const uint16_t *halves, Py_ssize_t count, float *found) {
    for (Py_ssize_t at = 0; at < count; at++) {
        const uint32_t magnitude = (uint32_t)(halves[at] & 0x7fff) << 13, sign = (uint32_t)(halves[at] & 0x8000) << 16;
        float value;
        memcpy(&value, &magnitude, sizeof value);
        value *= 0x1p112f; /* exponents of halves count from -15, those of floats from -127 */
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        bits |= sign;
        memcpy(&found[at], &bits, sizeof bits);
    }
}

/* Bring each part of each row to unit length; what is zero stays so. */
WIDEST static void to_units(float *rows, Py_ssize_t count, Py_ssize_t dim, const int64_t *bounds, Py_ssize_t parts) {
    for (Py_ssize_t row = 0; row < count; row++)
        for (Py_ssize_t part = 0; part < parts; part++) {
            float *own = rows + row * dim + bounds[part];
            const int64_t width = bounds[part + 1] - bounds[part];
            const float length = sqrtf(dot(own, own, width));
            for (int64_t at = 0; length > 0 && at < width; at++) own[at] /= length;
        }
}

WIDEST static void keep_agreed(const float *rows, Py_ssize_t count, Py_ssize_t dim, const int64_t *bounds,
                               const float *least, Py_ssize_t parts, char *pairs) {
    for (Py_ssize_t left = 0; left < count; left++)
        for (Py_ssize_t right = 0; right < count; right++, pairs++)
            *pairs = *pairs && alike_in_all(rows + left * dim, rows + right * dim, bounds, least, parts);
}

static PyObject *agreed(PyObject *self, PyObject *args) {
    static const argument asked[] = {
        {"rows", HALF, 2, 0, 0},
        {"bounds", INT64, 1, 0, 0},
        {"least", FLOAT, 1, 0, 0},
        {"pairs", BOOL, 2, 1, 0},
    };
    enum { OF, BOUNDS, LEAST, PAIRS, COUNT };
    Py_buffer views[COUNT];
    (void)self;
    if (take(args, asked, COUNT, views, NULL, 0)) return NULL;
    const Py_ssize_t count = views[OF].shape[0], dim = views[OF].shape[1];
    PyObject *misfit = parts_misfit(views, OF, PAIRS, BOUNDS, LEAST);
    if (misfit) return refused(views, COUNT, misfit, MISFIT);
    float *rows = malloc((count * dim + 1) * sizeof *rows);
    if (!rows) return refused(views, COUNT, PyExc_MemoryError, "");
    const Py_ssize_t parts = views[LEAST].shape[0];
    PyThreadState *thread = count * count * dim > LONG ? PyEval_SaveThread() : NULL;
    widen(views[OF].buf, count * dim, rows);
    to_units(rows, count, dim, views[BOUNDS].buf, parts);
    keep_agreed(rows, count, dim, views[BOUNDS].buf, views[LEAST].buf, parts, views[PAIRS].buf);
    if (thread) PyEval_RestoreThread(thread);
    free(rows);
    give_back(views, COUNT);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"nearest", nearest, METH_VARARGS, "The nearest cells to a point; see kernel.pyi."},
    {"look", look, METH_VARARGS, "The closest rows in some cells; see kernel.pyi."},
    {"alike", alike, METH_VARARGS, "Pairs of rows that are alike in every part; see kernel.pyi."},
    {"agreed", agreed, METH_VARARGS, "Pairs whose cosines agree in every part; see kernel.pyi."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "kernel", NULL, 0, functions, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_kernel(void) { return PyModule_Create(&module); }
