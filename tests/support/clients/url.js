// An application that takes a URL, as many do.
const { SMTP_URL, SMTP_FROM, SMTP_HOST, SMTP_PORT, SMTP_USERNAME } = process.env;
const url = new URL(SMTP_URL);
if (url.hostname !== SMTP_HOST || url.port !== SMTP_PORT ||
    decodeURIComponent(url.username) !== SMTP_USERNAME) {
  throw new Error('SMTP_URL and the rest differ');
}
const transport = require('nodemailer').createTransport(SMTP_URL);
transport
  .sendMail({ from: SMTP_FROM, to: process.argv[2], subject: 'A test mail', text: 'It works.' })
  .catch((error) => { console.error(error.message); process.exitCode = 1; });
