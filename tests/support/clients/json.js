// An application that reads its settings as JSON.
const smtp = require('./smtp.json');
const transport = require('nodemailer').createTransport({
  host: smtp.host,
  port: smtp.port,
  secure: smtp.encryption === 'tls',
  requireTLS: smtp.tls_required,
  auth: { user: smtp.username, pass: process.env[smtp.password_from_env] },
});
transport
  .sendMail({ from: smtp.from, to: process.argv[2], subject: 'A test mail', text: 'It works.' })
  .catch((error) => { console.error(error.message); process.exitCode = 1; });
