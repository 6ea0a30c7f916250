/* The innermost loops of a question, in C: what NumPy needs a dozen calls for, each with a cost of its own.
 *
 * Which cells are nearest, and which rows in them: see index/engine/search.py, whose terms these are; which answers
 * may be near-duplicates: index/answering/duplicates.py; what rows are called: index/engine/ids.py. What is taken and
 * given is told in kernel.pyi. Sums are taken in a fixed order, so that the same row always scores the same.
 */
#define _GNU_SOURCE /* preadv2 */
#include "../arrays.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sys/uio.h>
#include <unistd.h>
#if defined(__x86_64__) && !defined(PLAIN)
#include <immintrin.h>
#define AVX2 __attribute__((target("avx2")))
#endif

#define INLINE static inline __attribute__((always_inline))

typedef float lanes __attribute__((vector_size(32)));

enum {
    LANES = 8,
    FEW = 64,
    MANY = 8,       /* blocks are told apart by so many groups for each point wanted */
    LINE = 64,      /* bytes that memory is fetched by */
    FETCHED = 1024, /* bytes of a range that are fetched while the one before is read: the rest comes by itself */
    LONG = 1 << 19  /* numbers to be read from which on other threads of the interpreter may run meanwhile */
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

/* Points in 8-bit numbers, LANES of them abreast, and what they are asked: see index/engine/coarse.py. */
typedef struct {
    const int16_t *point; /* two numbers for each pair of dimensions */
    float unit;           /* what one step of the point is worth */
    Py_ssize_t pairs;
    const int8_t *laid;
    const float *biases; /* added to products; NULL for nothing */
    const char *passing; /* who may be proposed; NULL for all */
} proposing;

typedef struct {
    float scores[LANES], top;
    int64_t first;
} block;

/* Scores of the LANES points that lie abreast, and the greatest of them. */
typedef float scoring(const proposing *asked, const int8_t *abreast, const float *biases, float *scores);

INLINE float score_plain(const proposing *asked, const int8_t *abreast, const float *biases, float *scores) {
    int32_t sums[LANES] = {0};
    for (Py_ssize_t at = 0; at < 2 * asked->pairs; at += 2, abreast += 2 * LANES)
        for (int lane = 0; lane < LANES; lane++)
            sums[lane] +=
                (int32_t)asked->point[at] * abreast[2 * lane] + (int32_t)asked->point[at + 1] * abreast[2 * lane + 1];
    float top = -INFINITY;
    for (int lane = 0; lane < LANES; lane++) {
        scores[lane] = asked->unit * (float)sums[lane] + biases[lane];
        if (scores[lane] > top) top = scores[lane];
    }
    return top;
}

#ifdef AVX2
/* The same: compilers do not find the instruction that multiplies pairs of numbers and adds them up. */
AVX2 static inline float score_avx2(const proposing *asked, const int8_t *abreast, const float *biases, float *scores) {
    __m256i sums = _mm256_setzero_si256();
#pragma GCC unroll 4
    for (Py_ssize_t at = 0; at < asked->pairs; at++, abreast += 2 * LANES) {
        int32_t pair;
        memcpy(&pair, asked->point + 2 * at, sizeof pair);
        const __m256i wide = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)abreast));
        sums = _mm256_add_epi32(sums, _mm256_madd_epi16(_mm256_set1_epi32(pair), wide));
    }
    const __m256 products = _mm256_mul_ps(_mm256_set1_ps(asked->unit), _mm256_cvtepi32_ps(sums));
    const __m256 found = _mm256_add_ps(products, _mm256_loadu_ps(biases));
    _mm256_storeu_ps(scores, found);
    __m128 top = _mm_max_ps(_mm256_castps256_ps128(found), _mm256_extractf128_ps(found, 1));
    top = _mm_max_ps(top, _mm_movehl_ps(top, top));
    return _mm_cvtss_f32(_mm_max_ss(top, _mm_movehdup_ps(top)));
}
#endif

/* Score the points from one to before another, block by block; after the last block. */
INLINE block *score_range_by(scoring *score, const proposing *asked, int64_t start, int64_t stop, block *next) {
    static const float nothing[LANES] = {0};
    for (int64_t first = start - start % LANES; first < stop; first += LANES, next++) {
        const float *biases = asked->biases ? asked->biases + first : nothing;
        float own[LANES];
        if (asked->passing || first < start || first + LANES > stop) {
            for (int lane = 0; lane < LANES; lane++) {
                const int64_t at = first + lane;
                const int may = at >= start && at < stop && (!asked->passing || asked->passing[at]);
                own[lane] = may ? biases[lane] : -INFINITY;
            }
            biases = own;
        }
        next->top = score(asked, asked->laid + first * 2 * asked->pairs, biases, next->scores);
        next->first = first;
    }
    return next;
}

static block *score_range_plain(const proposing *asked, int64_t start, int64_t stop, block *next) {
    return score_range_by(score_plain, asked, start, stop, next);
}

static block *(*score_range)(const proposing *, int64_t, int64_t, block *) = score_range_plain;

#ifdef AVX2
AVX2 static block *score_range_avx2(const proposing *asked, int64_t start, int64_t stop, block *next) {
    return score_range_by(score_avx2, asked, start, stop, next);
}
#endif

/* A score that at least as many points reach as are wanted, if there are so many.
 *
 * As many groups of blocks as points are wanted, those with the highest tops, hold a point each that scores no less
 * than the lowest of these tops. */
static float reached(const block *blocks, Py_ssize_t number, Py_ssize_t wanted, scored *tops) {
    if (wanted < 1) return INFINITY;
    const Py_ssize_t together = number / (MANY * wanted) + 1;
    Py_ssize_t groups = 0;
    for (Py_ssize_t start = 0; start < number; start += together, groups++) {
        const Py_ssize_t stop = start + together < number ? start + together : number;
        float top = -INFINITY;
        for (Py_ssize_t at = start; at < stop; at++) top = blocks[at].top > top ? blocks[at].top : top;
        tops[groups].score = top;
        tops[groups].at = groups;
    }
    if (groups < wanted) return -INFINITY;
    select_best(tops, groups, wanted);
    float least = INFINITY;
    for (Py_ssize_t at = 0; at < wanted; at++) least = tops[at].score < least ? tops[at].score : least;
    return least;
}

/* Have memory fetched that will be read soon. */
INLINE void fetch(const void *from, Py_ssize_t bytes) {
    for (Py_ssize_t at = 0; at < bytes; at += LINE) __builtin_prefetch((const char *)from + at);
}

/* Find the best points of some ranges, into memory that the caller frees; how many, or -1 when there is no memory. */
static Py_ssize_t propose(const proposing *asked, const int64_t *ranges, Py_ssize_t count, Py_ssize_t wanted,
                          scored **found) {
    Py_ssize_t most = 0, kept = -1;
    for (Py_ssize_t at = 0; at < count; at++) most += (ranges[2 * at + 1] - ranges[2 * at]) / LANES + 2;
    block *blocks = malloc((most + 1) * sizeof *blocks), *end = blocks;
    scored *some = *found = malloc((most * LANES + 1) * sizeof *some);
    if (blocks && some) {
        for (Py_ssize_t at = 0; at < count; at++) {
            if (at + 1 < count) fetch(asked->laid + ranges[2 * at + 2] * 2 * asked->pairs, FETCHED);
            end = score_range(asked, ranges[2 * at], ranges[2 * at + 1], end);
        }
        const float least = reached(blocks, end - blocks, wanted, some);
        kept = 0;
        for (const block *own = blocks; own < end; own++) {
            if (own->top < least) continue;
            for (int lane = 0; lane < LANES; lane++)
                if (!(own->scores[lane] < least) && own->scores[lane] != -INFINITY) { /* or it is no number */
                    some[kept].score = own->scores[lane];
                    some[kept++].at = own->first + lane;
                }
        }
        select_best(some, kept, wanted);
        if (kept > wanted) kept = wanted;
    }
    free(blocks);
    return kept;
}

WIDEST static void score_rows(const float *weighted, const float *vectors, Py_ssize_t dim, scored *found,
                              Py_ssize_t count) {
    for (Py_ssize_t at = 0; at < count; at++) {
        if (at + 1 < count) fetch(vectors + found[at + 1].at * dim, dim * sizeof *vectors);
        found[at].score = dot(vectors + found[at].at * dim, weighted, dim);
    }
}

/* Read so many bytes of a file from some place on; 0, or an error's number: EAGAIN where they are not in memory and
 * nobody waits for them. */
static int read_at(int file, int64_t place, Py_ssize_t bytes, char *into, int wait) {
    while (bytes > 0) {
        ssize_t done;
#ifdef RWF_NOWAIT
        struct iovec piece = {into, bytes};
        done = wait ? pread(file, into, bytes, place) : preadv2(file, &piece, 1, place, RWF_NOWAIT);
        if (done <= 0 && !wait) return EAGAIN; /* or it cannot be asked this way; who waits is told what is wrong */
#else
        done = pread(file, into, bytes, place);
#endif
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return errno;
        if (done == 0) return EIO; /* it ends too early */
        into += done, place += done, bytes -= done;
    }
    return 0;
}

/* Rows of a file that are read in some order, and whose thread lets others run once the disk is asked. */
typedef struct {
    int file;
    Py_ssize_t bytes;
    PyThreadState **thread;
    int asked; /* whether the disk was asked for all that are missing */
} reading;

/* Read the first of some rows, which lie a fixed number of bytes apart in memory; 0, or an error's number. */
static int read_row(reading *how, const char *rows, Py_ssize_t apart, Py_ssize_t count, char *into) {
    int64_t row;
    memcpy(&row, rows, sizeof row);
    int error = how->asked ? EAGAIN : read_at(how->file, row * how->bytes, how->bytes, into, 0);
    if (error != EAGAIN) return error;
    if (!how->asked) {
        if (!*how->thread) *how->thread = PyEval_SaveThread();
#ifdef POSIX_FADV_WILLNEED
        for (Py_ssize_t at = 0; at < count; at++) {
            int64_t other;
            memcpy(&other, rows + at * apart, sizeof other);
            posix_fadvise(how->file, other * how->bytes, how->bytes, POSIX_FADV_WILLNEED);
        }
#endif
        how->asked = 1;
    }
    return read_at(how->file, row * how->bytes, how->bytes, into, 1);
}

/* As score_rows, of rows in a file; 0, or an error's number. */
WIDEST static int score_stored(const float *weighted, int file, Py_ssize_t dim, scored *found, Py_ssize_t count,
                               PyThreadState **thread) {
    reading how = {file, dim * (Py_ssize_t)sizeof(float), thread, 0};
    float *row = malloc(how.bytes + 1);
    int error = row ? 0 : ENOMEM;
    for (Py_ssize_t at = 0; at < count && !error; at++) {
        error = read_row(&how, (const char *)&found[at].at, sizeof *found, count - at, (char *)row);
        if (!error) found[at].score = dot(row, weighted, dim);
    }
    free(row);
    return error;
}

/* Whether points are laid abreast, so many pairs of dimensions. */
static int are_laid(const Py_buffer *points, Py_ssize_t count, Py_ssize_t pairs) {
    const Py_ssize_t *shape = points->shape;
    return shape[0] == (count + LANES - 1) / LANES && shape[1] == pairs && shape[2] == LANES && shape[3] == 2;
}

/* The first of some ascending numbers that is not below another. */
static Py_ssize_t first_from(const int64_t *ascending, Py_ssize_t count, int64_t least) {
    Py_ssize_t low = 0, high = count;
    while (low < high) {
        const Py_ssize_t middle = low + (high - low) / 2;
        if (ascending[middle] < least)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Ranges of the groups nearest to a point, of those that begin in some ranges, into memory that the caller frees; how
 * many, 0 where all groups there may be looked at, or -1 when there is no memory. */
static Py_ssize_t nearest_groups(const proposing *middles, const int64_t *groups, Py_ssize_t held,
                                 const int64_t *ranges, Py_ssize_t count, Py_ssize_t most, int64_t **found) {
    int64_t *within = calloc(2 * count + 1, sizeof *within);
    Py_ssize_t total = 0, kept = within ? 0 : -1;
    for (Py_ssize_t at = 0; within && at < 2 * count; at++) within[at] = first_from(groups, held, ranges[at]);
    for (Py_ssize_t at = 0; within && at < count; at++) total += within[2 * at + 1] - within[2 * at];
    *found = NULL;
    if (total > most) {
        scored *best;
        kept = propose(middles, within, count, most, &best);
        if (kept > 0 && !(*found = calloc(2 * kept, sizeof **found))) kept = -1;
        if (kept > 0) qsort(best, kept, sizeof *best, by_score);
        for (Py_ssize_t at = 0; at < kept; at++) {
            (*found)[2 * at] = groups[best[at].at];
            (*found)[2 * at + 1] = groups[best[at].at + 1];
        }
        free(best);
    }
    free(within);
    return kept;
}

static int are_ranges(const int64_t *ranges, Py_ssize_t count, int64_t stop) {
    for (Py_ssize_t at = 0; at < count; at++)
        if (ranges[2 * at] < 0 || ranges[2 * at + 1] < ranges[2 * at] || ranges[2 * at + 1] > stop) return 0;
    return 1;
}

static PyObject *nearest(PyObject *self, PyObject *args) {
    static const argument asked[] = {
        {"point", FLOAT, 1, 0, 0},  {"centres", INT8, 4, 0, 0}, {"biases", FLOAT, 1, 0, 0},
        {"ranges", INT64, 2, 0, 0}, {"middles", INT8, 4, 0, 1}, {"middle_biases", FLOAT, 1, 0, 1},
        {"groups", INT64, 1, 0, 1}, {"cells", INT64, 1, 1, 0},
    };
    enum { POINT, CENTRES, BIASES, RANGES, MIDDLES, MIDDLE_BIASES, GROUPS, CELLS, COUNT };
    Py_buffer views[COUNT];
    number told;
    (void)self;
    if (take(args, asked, COUNT, views, &told, 1)) return NULL;
    const Py_ssize_t dim = views[POINT].shape[0], pairs = (dim + 1) / 2, cells = views[BIASES].shape[0];
    const Py_ssize_t most = told.whole, held = most > 0 && views[GROUPS].obj ? views[GROUPS].shape[0] - 1 : 0;
    if (!are_laid(&views[CENTRES], cells, pairs) || views[RANGES].shape[1] != 2 || most < 0 ||
        (most > 0 && (held < 1 || !views[MIDDLES].obj || !are_laid(&views[MIDDLES], held, pairs) ||
                      !views[MIDDLE_BIASES].obj || views[MIDDLE_BIASES].shape[0] != held)))
        return refused(views, COUNT, PyExc_ValueError, "shapes of point, centres, ranges and groups do not fit");
    const int64_t *ranges = views[RANGES].buf;
    Py_ssize_t count = views[RANGES].shape[0];
    if (!are_ranges(ranges, count, cells))
        return refused(views, COUNT, PyExc_IndexError, "a range lies outside of the centres");
    int16_t *point = calloc(2 * pairs + 1, sizeof *point);
    if (!point) return refused(views, COUNT, PyExc_MemoryError, "");
    const float unit = in_steps(views[POINT].buf, dim, point);
    int64_t *of_groups = NULL;
    Py_ssize_t kept = 0;
    if (most > 0) {
        const proposing middles = {point, unit, pairs, views[MIDDLES].buf, views[MIDDLE_BIASES].buf, NULL};
        kept = nearest_groups(&middles, views[GROUPS].buf, held, ranges, count, most, &of_groups);
        if (kept > 0) ranges = of_groups, count = kept;
    }
    scored *found = NULL;
    const int outside = kept > 0 && !are_ranges(ranges, count, cells);
    if (kept >= 0 && !outside) {
        const proposing centres = {point, unit, pairs, views[CENTRES].buf, views[BIASES].buf, NULL};
        kept = propose(&centres, ranges, count, views[CELLS].shape[0], &found);
    }
    free(of_groups);
    free(point);
    if (kept > 0 && found) qsort(found, kept, sizeof *found, by_score); /* the best first: few come before them later */
    int64_t *out = views[CELLS].buf;
    for (Py_ssize_t at = 0; found && at < kept; at++) out[at] = found[at].at;
    free(found);
    if (outside) return refused(views, COUNT, PyExc_IndexError, "a group lies outside of the centres");
    if (kept < 0) return refused(views, COUNT, PyExc_MemoryError, "");
    give_back(views, COUNT);
    return PyLong_FromSsize_t(kept);
}

static PyObject *failed(int error) {
    errno = error;
    return PyErr_SetFromErrno(PyExc_OSError);
}

/* Of the places proposed, keep the rows that lie there, but for some; -1 when there is no such row. */
static Py_ssize_t rows_at(scored *found, Py_ssize_t near, const int32_t *layout, Py_ssize_t count,
                          const int64_t *excluded, Py_ssize_t others) {
    Py_ssize_t kept = 0;
    for (Py_ssize_t at = 0; at < near; at++) {
        const int64_t row = layout[found[at].at];
        if (row < 0 || row >= count) return -1;
        int out = 0;
        for (Py_ssize_t other = 0; other < others; other++) out |= excluded[other] == row;
        if (!out) found[kept++].at = row;
    }
    return kept;
}

static PyObject *look(PyObject *self, PyObject *args) {
    static const argument asked[] = {
        {"point", FLOAT, 1, 0, 0},    {"weighted", FLOAT, 1, 0, 0}, {"cells", INT64, 1, 0, 0},
        {"starts", INT64, 1, 0, 0},   {"reduced", INT8, 4, 0, 0},   {"biases", FLOAT, 1, 0, 1},
        {"layout", INT32, 1, 0, 0},   {"vectors", FLOAT, 2, 0, 1},  {"passing", BOOL, 1, 0, 1},
        {"excluded", INT64, 1, 0, 0}, {"rows", INT64, 1, 1, 0},     {"scores", FLOAT, 1, 1, 0},
    };
    enum { POINT, WEIGHTED, CELLS, STARTS, REDUCED, BIASES, LAYOUT, VECTORS, PASSING, EXCLUDED, ROWS, SCORES, COUNT };
    Py_buffer views[COUNT];
    number told[2];
    (void)self;
    if (take(args, asked, COUNT, views, told, 2)) return NULL;
    const Py_ssize_t candidates = told[0].whole, file = told[1].whole;
    const Py_ssize_t width = views[POINT].shape[0], pairs = (width + 1) / 2;
    const Py_ssize_t dim = views[WEIGHTED].shape[0], count = views[LAYOUT].shape[0];
    const Py_ssize_t wanted = views[CELLS].shape[0], held = views[STARTS].shape[0] - 1;
    if (!are_laid(&views[REDUCED], count, pairs) || candidates < 1 || (file >= 0) == (views[VECTORS].obj != NULL) ||
        (views[VECTORS].obj && (views[VECTORS].shape[0] != count || views[VECTORS].shape[1] != dim)) ||
        (views[PASSING].obj && views[PASSING].shape[0] != count) ||
        (views[BIASES].obj && views[BIASES].shape[0] != count) || views[ROWS].shape[0] != views[SCORES].shape[0])
        return refused(views, COUNT, PyExc_ValueError, "shapes of the arrays do not fit each other");
    const int64_t *cells = views[CELLS].buf, *starts = views[STARTS].buf;
    for (Py_ssize_t at = 0; at < wanted; at++) {
        const int64_t cell = cells[at];
        if (cell < 0 || cell >= held || starts[cell] < 0 || starts[cell + 1] < starts[cell] || starts[cell + 1] > count)
            return refused(views, COUNT, PyExc_IndexError, "a cell lies outside of the layout");
    }
    int64_t *ranges = calloc(2 * wanted + 1, sizeof *ranges);
    int16_t *point = calloc(2 * pairs + 1, sizeof *point);
    Py_ssize_t kept = -1, total = 0;
    int damaged = 0, error = 0;
    if (ranges && point) {
        for (Py_ssize_t at = 0; at < wanted; at++) {
            ranges[2 * at] = starts[cells[at]], ranges[2 * at + 1] = starts[cells[at] + 1];
            total += ranges[2 * at + 1] - ranges[2 * at];
        }
        PyThreadState *thread = total * width + candidates * dim > LONG ? PyEval_SaveThread() : NULL;
        const float unit = in_steps(views[POINT].buf, width, point);
        const proposing these = {point, unit, pairs, views[REDUCED].buf, views[BIASES].buf, views[PASSING].buf};
        scored *found;
        kept = propose(&these, ranges, wanted, candidates, &found);
        if (kept > 0) {
            kept = rows_at(found, kept, views[LAYOUT].buf, count, views[EXCLUDED].buf, views[EXCLUDED].shape[0]);
            damaged = kept < 0;
        }
        if (kept > 0) {
            qsort(found, kept, sizeof *found, by_place); /* memory is read forwards */
            if (file < 0)
                score_rows(views[WEIGHTED].buf, views[VECTORS].buf, dim, found, kept);
            else
                error = score_stored(views[WEIGHTED].buf, file, dim, found, kept, &thread);
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
        free(found);
        if (thread) PyEval_RestoreThread(thread);
    }
    free(point);
    free(ranges);
    if (damaged) return refused(views, COUNT, PyExc_IndexError, "the layout names a row that there is not");
    if (kept < 0) return refused(views, COUNT, PyExc_MemoryError, "");
    give_back(views, COUNT);
    return error ? failed(error) : PyLong_FromSsize_t(kept);
}

static PyObject *gather(PyObject *self, PyObject *args) {
    static const argument asked[] = {{"rows", INT64, 1, 0, 0}, {"found", BYTE, 2, 1, 0}};
    enum { ROWS, FOUND, COUNT };
    Py_buffer views[COUNT];
    number told;
    (void)self;
    if (take(args, asked, COUNT, views, &told, 1)) return NULL;
    const Py_ssize_t count = views[ROWS].shape[0], bytes = views[FOUND].shape[1];
    const int64_t *rows = views[ROWS].buf;
    if (views[FOUND].shape[0] != count || told.whole < 0)
        return refused(views, COUNT, PyExc_ValueError, "as many rows have to be found as are asked for, in a file");
    for (Py_ssize_t at = 0; at < count; at++)
        if (rows[at] < 0) return refused(views, COUNT, PyExc_IndexError, "a row lies before the file");
    PyThreadState *thread = NULL;
    reading how = {told.whole, bytes, &thread, 0};
    int error = 0;
    for (Py_ssize_t at = 0; at < count && !error; at++)
        error =
            read_row(&how, (const char *)(rows + at), sizeof *rows, count - at, (char *)views[FOUND].buf + at * bytes);
    if (thread) PyEval_RestoreThread(thread);
    give_back(views, COUNT);
    if (error) return failed(error);
    Py_RETURN_NONE;
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

static PyObject *texts(PyObject *self, PyObject *args) {
    static const argument asked[] = {
        {"bytes", BYTE, 1, 0, 0},
        {"ends", INT64, 1, 0, 0},
        {"numbers", INT64, 1, 0, 0},
    };
    enum { BYTES, ENDS, NUMBERS, COUNT };
    Py_buffer views[COUNT];
    (void)self;
    if (take(args, asked, COUNT, views, NULL, 0)) return NULL;
    const int64_t *ends = views[ENDS].buf, *numbers = views[NUMBERS].buf;
    const Py_ssize_t count = views[ENDS].shape[0] - 1, wanted = views[NUMBERS].shape[0];
    for (Py_ssize_t at = 0; at < wanted; at++)
        if (numbers[at] < 0 || numbers[at] >= count || ends[numbers[at]] < 0 ||
            ends[numbers[at] + 1] < ends[numbers[at]] || ends[numbers[at] + 1] > views[BYTES].shape[0])
            return refused(views, COUNT, PyExc_IndexError, "a text lies outside of the bytes");
    PyObject *found = PyList_New(wanted);
    for (Py_ssize_t at = 0; found && at < wanted; at++) {
        const int64_t start = ends[numbers[at]], stop = ends[numbers[at] + 1];
        PyObject *text = PyUnicode_DecodeUTF8((const char *)views[BYTES].buf + start, stop - start, NULL);
        if (!text)
            Py_CLEAR(found);
        else
            PyList_SetItem(found, at, text);
    }
    give_back(views, COUNT);
    return found;
}

static PyMethodDef functions[] = {
    {"nearest", nearest, METH_VARARGS, "The nearest cells to a point; see kernel.pyi."},
    {"look", look, METH_VARARGS, "The closest rows in some cells; see kernel.pyi."},
    {"alike", alike, METH_VARARGS, "Pairs of rows that are alike in every part; see kernel.pyi."},
    {"agreed", agreed, METH_VARARGS, "Pairs whose cosines agree in every part; see kernel.pyi."},
    {"gather", gather, METH_VARARGS, "Some rows of a file; see kernel.pyi."},
    {"texts", texts, METH_VARARGS, "Some of many texts that lie one after another; see kernel.pyi."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "kernel", NULL, 0, functions, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_kernel(void) {
#ifdef AVX2
    if (__builtin_cpu_supports("avx2")) score_range = score_range_avx2;
#endif
    return PyModule_Create(&module);
}
