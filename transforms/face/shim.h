// The few calls of OpenCV that need more than gocv gives: no exception leaves
// them, since one that does ends the process, and the number of threads can be
// set. JPEGs are decoded by TurboJPEG, of which a fault is a value. A call that
// returns text has failed; the caller frees the text.
#ifndef FACESTREAM_FACE_SHIM_H
#define FACESTREAM_FACE_SHIM_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    int x, y, width, height;
} face_box;

// face_output is what a network says, as long as it is not run again.
typedef struct {
    const char *name;
    const float *data;
    size_t size;
} face_output;

// face_load_cascade reads a cascade from a file, face_load_network a network from the
// bytes of an ONNX file. face_close ends either.
char *face_load_cascade(const char *path, void **model);
char *face_load_network(const void *onnx, size_t size, void **model);
void face_close(void *model);

// face_detect returns the boxes in a grey cv::Mat; the caller frees them.
char *face_detect(void *cascade, void *grey, double scale_factor, int min_neighbors, int min_face,
                  face_box **boxes, int *count);

// face_run returns the outputs of a network for a cv::Mat of blue, green, red in the upper
// left corner of a black picture of that size. A network may be run with one size only.
char *face_run(void *network, void *bgr, int width, int height, int swap_to_rgb, face_output **outputs, int *count);

// face_decode_jpeg fills a cv::Mat with the picture of a JPEG, grey or blue, green, red,
// at so many eighths of its size: 1, 2, 4 or 8. If the JPEG is not whole, or not of that
// size, fault says why; the caller frees it.
char *face_decode_jpeg(const void *data, size_t size, int width, int height, int colour, int eighths, void *mat,
                       char **fault);

// face_set_threads sets how many threads one call takes, in the whole process;
// below 0 is OpenCV's default.
char *face_set_threads(int threads);

#ifdef __cplusplus
}
#endif

#endif
