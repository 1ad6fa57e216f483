// An invitation's link has its code behind the "#", which no browser sends anywhere.
"use strict";
(() => {
  const field = document.getElementById("code");
  if (!field || field.value || location.hash.length < 2) return;
  field.value = decodeURIComponent(location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
})();
