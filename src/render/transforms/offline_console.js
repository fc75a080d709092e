// Loaded into the console's server before its own program: what its page would load from the internet is put into the
// page, where this image has it. Whatever is not found stays as it was.
'use strict';
const fs = require('fs');
const path = require('path');

const SCRIPT = /<script\b[^>]*\bsrc="https:\/\/unpkg\.com\/((?:@[^/@"]+\/)?[^/@"]+)@(\d+)[^/"]*\/([^"]+)"[^>]*><\/script>/g;
// A browser paints nothing before an answer for a stylesheet, and behind some firewalls there is none for minutes.
const FONTS = /<link\b[^>]*\bhref="https:\/\/fonts\.(?:googleapis|gstatic)\.com\b[^>]*>/g;

const read = fs.readFileSync;

function installed(link, name, major, file) {
  try {
    const folder = path.join(process.cwd(), 'node_modules', name);
    const version = JSON.parse(read(path.join(folder, 'package.json'), 'utf8')).version;
    if (version.split('.')[0] !== major) return link;
    const code = read(path.join(folder, file), 'utf8');
    return '<script>' + code.replace(/<\/script/gi, '<\\/script') + '</script>';
  } catch (_) {
    return link;
  }
}

fs.readFileSync = function (file) {
  const content = read.apply(this, arguments);
  if (path.basename(String(file)) !== 'index.html') return content;
  const page = content.toString().replace(SCRIPT, installed).replace(FONTS, '');
  return Buffer.isBuffer(content) ? Buffer.from(page) : page;
};
