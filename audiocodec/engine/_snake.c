/* Snake in one pass over memory: out = x + sin(alpha x)^2 / alpha, in float32.

   A module without functions for people: engine/snake.py passes addresses of tensors it has checked.
   sin^2 has the period pi: z is brought to [-pi/2, pi/2] in three steps (Cody and Waite, 1980), where a
   polynomial of degree 9 gives the sine to a rounding error. Beyond |z| of some 30000, float32 itself
   no longer tells where in a period z is. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__linux__)
#define FOR_EACH_CPU __attribute__((target_clones("avx512f", "avx2,fma", "default")))
#else
#define FOR_EACH_CPU
#endif

#define ROUNDING 12582912.0f /* 1.5 * 2^23: adding it rounds to a whole number */

FOR_EACH_CPU
static void snake_row(const float *restrict x, float alpha, float inverse, float *restrict out,
                      Py_ssize_t n)
{
    for (Py_ssize_t t = 0; t < n; t++) {
        float z = alpha * x[t];
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
        out[t] = x[t] + inverse * (sine * sine);
    }
}

/* snake(x, alpha, inverse, out, rows, channels, n, stride_x, stride_out): addresses as integers; rows of
   n samples, stride apart, row i of channel i % channels. */
static PyObject *snake(PyObject *self, PyObject *args)
{
    Py_ssize_t x, alpha, inverse, out, rows, channels, n, stride_x, stride_out;
    if (!PyArg_ParseTuple(args, "nnnnnnnnn", &x, &alpha, &inverse, &out, &rows, &channels, &n,
                          &stride_x, &stride_out))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t i = 0; i < rows; i++)
        snake_row((const float *)(intptr_t)x + i * stride_x,
                  ((const float *)(intptr_t)alpha)[i % channels],
                  ((const float *)(intptr_t)inverse)[i % channels],
                  (float *)(intptr_t)out + i * stride_out, n);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {{"snake", snake, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_snake", NULL, -1, methods};

PyMODINIT_FUNC PyInit__snake(void)
{
    return PyModule_Create(&module);
}
