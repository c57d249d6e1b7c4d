/* Snake and the transforms of Winograd convolutions, each in one pass over memory, in float32.

   Only engine/kernels.py calls these functions: it passes addresses of tensors that it has checked.
   Signals are rows of channels, one row for each time step.

   Snake is x + sin(alpha x)^2 / alpha. sin^2 has the period pi: z is brought to [-pi/2, pi/2] in three
   steps (Cody and Waite, 1980), where a polynomial of degree 9 gives the sine to a rounding error.
   Above |z| of about 30000, float32 is too coarse to locate z within a period.

   Tiles are those of engine/transform.py, whose points are 0, +-a_1, ..., +-a_p and infinity: the
   terms that the two points of a pair share are computed once. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__linux__)
#define FOR_EACH_CPU __attribute__((target_clones("avx512f", "avx2,fma", "default")))
#else
#define FOR_EACH_CPU
#endif
#if defined(__GNUC__)
#define INLINE static inline __attribute__((always_inline))
#else
#define INLINE static inline
#endif

#define ROUNDING 12582912.0f /* 1.5 * 2^23: adding it rounds to a whole number */
#define MOST_POINTS 12

typedef float *floats;
typedef const float *constants;

INLINE float snaked(float x, float alpha, float inverse)
{
    float z = alpha * x;
    float k = (z * 0.318309886f + ROUNDING) - ROUNDING;
    float r = z - k * 3.140625f;
    r = r - k * 9.67025756835937e-4f;
    r = r - k * 6.2771141529083251e-7f;
    float q = r * r;
    float p = 2.6083159809786593e-06f;
    p = p * q - 0.00019810690719168633f;
    p = p * q + 0.008333078585565090f;
    p = p * q - 0.16666659712791443f;
    float sine = r + r * q * p;
    return x + inverse * (sine * sine);
}

FOR_EACH_CPU
static void snake_row(const float *x, const float *alpha, const float *inverse, float *out, Py_ssize_t n)
{
#pragma GCC ivdep
    for (Py_ssize_t c = 0; c < n; c++)
        out[c] = snaked(x[c], alpha[c], inverse[c]);
}

/* (2p + 2) rows of the signal -> (2p + 2) rows of factors. w: 2 (p + 1) weights for the points 0 and
   infinity, then 2 p for each pair. */
INLINE void factors(const int p, const float *w, const constants *x, const floats *v, Py_ssize_t n)
{
#pragma GCC ivdep
    for (Py_ssize_t c = 0; c < n; c++) {
        float zero = 0, infinity = 0;
#pragma GCC unroll 8
        for (int i = 0; i <= p; i++) {
            zero += w[i] * x[2 * i][c];
            infinity += w[p + 1 + i] * x[2 * i + 1][c];
        }
        v[0][c] = zero;
        v[2 * p + 1][c] = infinity;
#pragma GCC unroll 8
        for (int k = 0; k < p; k++) {
            float even = 0, odd = 0;
#pragma GCC unroll 8
            for (int i = 0; i < p; i++) {
                even += w[2 * (p + 1) + 2 * p * k + i] * x[2 * i + 2][c];
                odd += w[2 * (p + 1) + 2 * p * k + p + i] * x[2 * i + 1][c];
            }
            v[2 * k + 1][c] = even + odd;
            v[2 * k + 2][c] = even - odd;
        }
    }
}

/* (2p + 2) rows of products -> m rows of the signal, with Snake or without. w: (m, p), the powers
   of a_i. */
INLINE void sums(const int p, const int m, const int with_snake, const float *w, const constants *v,
                 const float *bias, const float *alpha, const float *inverse, const floats *y,
                 Py_ssize_t n)
{
#pragma GCC ivdep
    for (Py_ssize_t c = 0; c < n; c++) {
        float both[5], between[5], b = bias[c];
#pragma GCC unroll 8
        for (int i = 0; i < p; i++) {
            both[i] = v[2 * i + 1][c] + v[2 * i + 2][c];
            between[i] = v[2 * i + 1][c] - v[2 * i + 2][c];
        }
#pragma GCC unroll 8
        for (int k = 0; k < m; k++) {
            float sum = b;
            if (k == 0)
                sum += v[0][c];
            if (k == m - 1)
                sum += v[2 * p + 1][c];
#pragma GCC unroll 8
            for (int i = 0; i < p; i++)
                sum += w[k * p + i] * (k % 2 ? between[i] : both[i]);
            y[k][c] = with_snake ? snaked(sum, alpha[c], inverse[c]) : sum;
        }
    }
}

FOR_EACH_CPU
static void tile_in(int p, const float *w, const constants *x, const floats *v, Py_ssize_t n)
{
    switch (p) {
    case 1: factors(1, w, x, v, n); break;
    case 2: factors(2, w, x, v, n); break;
    case 3: factors(3, w, x, v, n); break;
    case 4: factors(4, w, x, v, n); break;
    case 5: factors(5, w, x, v, n); break;
    }
}

FOR_EACH_CPU
static void tile_out(int p, const float *w, const constants *v, const float *bias, const float *alpha,
                     const float *inverse, const floats *y, Py_ssize_t n)
{
#define SUMS(p, m)                                                                                     \
    if (alpha)                                                                                         \
        sums(p, m, 1, w, v, bias, alpha, inverse, y, n);                                               \
    else                                                                                               \
        sums(p, m, 0, w, v, bias, bias, bias, y, n);
    switch (p) {
    case 1: SUMS(1, 3) break;
    case 2: SUMS(2, 4) break;
    case 3: SUMS(3, 2) break;
    case 4: SUMS(4, 4) break;
    case 5: SUMS(5, 6) break;
    }
}

/* snake(x, alpha, inverse, out, rows, channels, threads) */
static PyObject *snake(PyObject *self, PyObject *args)
{
    Py_ssize_t x, alpha, inverse, out, rows, channels, threads;
    if (!PyArg_ParseTuple(args, "nnnnnnn", &x, &alpha, &inverse, &out, &rows, &channels, &threads))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
#pragma omp parallel for num_threads(threads) if (rows * channels > 16384)
    for (Py_ssize_t i = 0; i < rows; i++)
        snake_row((constants)(intptr_t)x + i * channels, (constants)(intptr_t)alpha,
                  (constants)(intptr_t)inverse, (floats)(intptr_t)out + i * channels, channels);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

/* tiles_in(x, w, v, p, m, dilation, rows, channels, first, tiles, zeros, threads): the factors of
   `tiles` tiles from `first` on, to v (2p + 2, tiles, channels). x has `rows` rows, followed by zeros. */
static PyObject *tiles_in(PyObject *self, PyObject *args)
{
    Py_ssize_t x, w, v, m, dilation, rows, channels, first, tiles, zeros, threads;
    int p;
    if (!PyArg_ParseTuple(args, "nnninnnnnnnn", &x, &w, &v, &p, &m, &dilation, &rows, &channels, &first,
                          &tiles, &zeros, &threads))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
#pragma omp parallel for num_threads(threads) if (tiles > 1)
    for (Py_ssize_t i = 0; i < tiles; i++) {
        constants from[MOST_POINTS];
        floats to[MOST_POINTS];
        Py_ssize_t row = (first + i) / dilation * dilation * m + (first + i) % dilation;
        for (int j = 0; j < 2 * p + 2; j++, row += dilation) {
            from[j] = row < rows ? (constants)(intptr_t)x + row * channels : (constants)(intptr_t)zeros;
            to[j] = (floats)(intptr_t)v + (j * tiles + i) * channels;
        }
        tile_in(p, (constants)(intptr_t)w, from, to, channels);
    }
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

/* tiles_out(v, w, bias, alpha, inverse, y, p, m, dilation, channels, first, tiles, threads): the rows
   of those tiles from their products v, with the bias, and with Snake unless the address alpha is 0. */
static PyObject *tiles_out(PyObject *self, PyObject *args)
{
    Py_ssize_t v, w, bias, alpha, inverse, y, m, dilation, channels, first, tiles, threads;
    int p;
    if (!PyArg_ParseTuple(args, "nnnnnninnnnnn", &v, &w, &bias, &alpha, &inverse, &y, &p, &m, &dilation,
                          &channels, &first, &tiles, &threads))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
#pragma omp parallel for num_threads(threads) if (tiles > 1)
    for (Py_ssize_t i = 0; i < tiles; i++) {
        constants from[MOST_POINTS];
        floats to[MOST_POINTS];
        Py_ssize_t row = (first + i) / dilation * dilation * m + (first + i) % dilation;
        for (int j = 0; j < 2 * p + 2; j++)
            from[j] = (constants)(intptr_t)v + (j * tiles + i) * channels;
        for (int k = 0; k < m; k++, row += dilation)
            to[k] = (floats)(intptr_t)y + row * channels;
        tile_out(p, (constants)(intptr_t)w, from, (constants)(intptr_t)bias, (constants)(intptr_t)alpha,
                 (constants)(intptr_t)inverse, to, channels);
    }
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

/* team(threads): grows the OpenMP pool of this thread to so many threads, which then wait for work. */
static PyObject *team(PyObject *self, PyObject *args)
{
    Py_ssize_t threads;
    if (!PyArg_ParseTuple(args, "n", &threads))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
#pragma omp parallel num_threads(threads)
    {
#if defined(__GNUC__)
        __asm__ volatile(""); /* a region that does nothing might be left out */
#endif
    }
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {{"snake", snake, METH_VARARGS, NULL},
                                {"tiles_in", tiles_in, METH_VARARGS, NULL},
                                {"tiles_out", tiles_out, METH_VARARGS, NULL},
                                {"team", team, METH_VARARGS, NULL},
                                {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_kernels", NULL, -1, methods};

PyMODINIT_FUNC PyInit__kernels(void)
{
    return PyModule_Create(&module);
}
