// cv::VideoCapture with what gocv 0.31 lacks: no exception leaves these calls,
// since one that does ends the process, opening and reading have time limits, and
// FFmpeg prints nothing: what it has to say is in the error. A call that returns text
// has failed; the caller frees the text.
#ifndef FACESTREAM_VIDEO_SHIM_H
#define FACESTREAM_VIDEO_SHIM_H

#ifdef __cplusplus
extern "C" {
#endif

// video_open opens a file, a URL or a device through one of OpenCV's readers;
// video_close ends it. The limit of FFmpeg's calls is in milliseconds; 0 stands
// for OpenCV's own. With packets, pictures are read as they are in the file, in one
// row of bytes. Pictures are not turned.
char *video_open(const char *name, int reader, int limit, int packets, void **capture);
char *video_close(void *capture);

// video_read decodes the next picture into a cv::Mat, which is empty if there
// is none.
char *video_read(void *capture, void *mat);

// video_get is one of OpenCV's properties of the video, or of the last picture.
char *video_get(void *capture, int property, double *value);

#ifdef __cplusplus
}
#endif

#endif
