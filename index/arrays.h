/* Arrays of NumPy as arguments of compiled loops: borrowed, checked, given back. Included first; it includes Python. */
#ifndef SIMKIN_ARRAYS_H
#define SIMKIN_ARRAYS_H

#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdlib.h>
#include <string.h>

/* Functions compiled for old and for newer processors, of which the machine picks one. */
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__)
#define WIDEST __attribute__((target_clones("arch=haswell", "default")))
#else
#define WIDEST
#endif

/* What an argument must be: an array of one kind (of the letters of Python's struct), C-contiguous. */
typedef struct {
    const char *name, *kinds;
    int ndim, writable, optional;
} argument;

#define INT64 "lq"
#define INT32 "i"
#define INT8 "b"
#define BYTE "B"
#define HALF "e"
#define FLOAT "f"
#define DOUBLE "d"
#define BOOL "?"

static inline int borrow(PyObject *array, const argument *asked, Py_buffer *view) {
    if (asked->optional && array == Py_None) return 0;
    if (PyObject_GetBuffer(array, view, PyBUF_FORMAT | PyBUF_C_CONTIGUOUS | (asked->writable ? PyBUF_WRITABLE : 0)))
        return -1;
    const char *format = view->format ? view->format : "B";
    if (*format == '<' || *format == '=') format++;
    if (view->ndim == asked->ndim && *format && strchr(asked->kinds, *format) && !format[1]) return 0;
    PyErr_Format(PyExc_TypeError, "%s must be an array of kind %s with %d dimensions", asked->name, asked->kinds,
                 asked->ndim);
    return -1;
}

static inline void give_back(Py_buffer *views, Py_ssize_t count) {
    for (Py_ssize_t at = 0; at < count; at++)
        if (views[at].obj) PyBuffer_Release(&views[at]);
}

/* A number among a call's arguments; one that is not whole is -1 as a whole number. */
typedef struct {
    Py_ssize_t whole;
    double real;
} number;

static inline int read_number(PyObject *told, number *found) {
    found->whole = PyLong_Check(told) ? PyLong_AsSsize_t(told) : -1;
    if (found->whole == -1 && PyErr_Occurred()) return -1;
    found->real = PyFloat_AsDouble(told);
    return found->real == -1 && PyErr_Occurred() ? -1 : 0;
}

/* Take a call's arguments: arrays, which are borrowed, and after them numbers; on an error no array is left borrowed.
 */
static inline int take(PyObject *args, const argument *asked, Py_ssize_t count, Py_buffer *views, number *numbers,
                       Py_ssize_t told) {
    if (PyTuple_Size(args) != count + told) {
        PyErr_Format(PyExc_TypeError, "%zd arrays and %zd numbers are needed", count, told);
        return -1;
    }
    for (Py_ssize_t at = 0; at < told; at++)
        if (read_number(PyTuple_GetItem(args, count + at), &numbers[at])) return -1;
    memset(views, 0, count * sizeof *views);
    for (Py_ssize_t at = 0; at < count; at++)
        if (borrow(PyTuple_GetItem(args, at), &asked[at], &views[at])) {
            give_back(views, count);
            return -1;
        }
    return 0;
}

static inline PyObject *refused(Py_buffer *views, Py_ssize_t count, PyObject *kind, const char *why) {
    give_back(views, count);
    if (kind == PyExc_MemoryError) return PyErr_NoMemory();
    PyErr_SetString(kind, why);
    return NULL;
}

#endif
