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

// face_load reads a cascade from a file; face_close ends its classifier.
char *face_load(const char *path, void **classifier);
void face_close(void *classifier);

// face_detect returns the boxes in a grey cv::Mat; the caller frees them.
char *face_detect(void *classifier, void *grey, double scale_factor, int min_neighbors, int min_face,
                  face_box **boxes, int *count);

// face_decode_jpeg fills a cv::Mat with the grey picture of a JPEG. If the JPEG is not
// whole, or not of that size, fault says why; the caller frees it.
char *face_decode_jpeg(const void *data, size_t size, int width, int height, void *grey, char **fault);

// face_set_threads sets how many threads one call takes, in the whole process;
// below 0 is OpenCV's default.
char *face_set_threads(int threads);

#ifdef __cplusplus
}
#endif

#endif
