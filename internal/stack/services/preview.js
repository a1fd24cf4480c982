// Added to Hadoop's file browser by scripts/stack: opening a picture shows it.
$(function () {
  var picture = $('<img id="picture-preview" alt="" style="max-width:100%">').hide();
  picture.insertAfter('#file-info-body > hr:first');
  $('#file-info').on('show.bs.modal', function () {
    var open = $('#file-info-download').attr('href');
    var path = open.split('?')[0];
    if (/\.(jpe?g|png|gif)$/i.test(path)) {
      picture.attr('src', open).show();
    } else {
      picture.removeAttr('src').hide();
    }
  });
});
